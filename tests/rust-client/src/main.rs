//! Polder with the Rust crate `redis`: `rust-client standalone [PORT]` and `rust-client cluster [PORT]`.

use redis::cluster::{ClusterClient, cluster_pipe};
use redis::{Client, Commands, RedisResult, Value};
use std::collections::HashMap;
use std::process::ExitCode;

/// Keys written through the cluster client: enough to reach every shard.
const KEYS: usize = 1_000;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let port = words.next();
    let port = port.as_deref();
    let outcome = match mode.as_str() {
        "standalone" => standalone(port.unwrap_or("6379")),
        "cluster" => cluster(port.unwrap_or("7379")),
        _ => {
            eprintln!("usage: rust-client standalone|cluster [PORT]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => {
            println!("crate redis, {mode}: fine");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The co-located namespace: any keys together, transactions, databases.
fn standalone(port: &str) -> RedisResult<()> {
    let client = Client::open(format!("redis://127.0.0.1:{port}/5"))?;
    let mut connection = client.get_connection()?;
    let () = redis::cmd("FLUSHDB").query(&mut connection)?;

    let () = connection.set_ex("greeting", "hello", 60)?;
    let greeting: String = connection.get("greeting")?;
    assert_eq!(greeting, "hello");

    let () = connection.hset_multiple("user:1", &[("name", "Ada"), ("born", "1815")])?;
    let user: HashMap<String, String> = connection.hgetall("user:1")?;
    assert_eq!(user["born"], "1815");

    let (old, new): (i64, i64) = redis::pipe().atomic().incr("visits", 1).incr("visits", 1).query(&mut connection)?;
    assert_eq!((old, new), (1, 2));

    let wrong: RedisResult<i64> = connection.incr("user:1", 1);
    let error = wrong.expect_err("a hash is not a number");
    assert_eq!(error.code(), Some("WRONGTYPE"));

    let keys: Vec<String> = connection.scan()?.collect::<RedisResult<_>>()?;
    assert_eq!(keys.len(), 3);
    Ok(())
}

/// The sharded namespace: the client finds the owner of every slot.
fn cluster(port: &str) -> RedisResult<()> {
    let client = ClusterClient::new(vec![format!("redis://127.0.0.1:{port}/")])?;
    let mut connection = client.get_connection()?;
    for n in 0..KEYS {
        let () = connection.set(format!("rust:{n}"), n)?;
    }
    for n in 0..KEYS {
        let found: usize = connection.get(format!("rust:{n}"))?;
        assert_eq!(found, n);
    }
    let () = connection.mset(&[("{rust}:a", 1), ("{rust}:b", 2)])?;
    let pair: (i64, i64) = connection.mget(&["{rust}:a", "{rust}:b"])?;
    assert_eq!(pair, (1, 2));

    let mut pipeline = cluster_pipe();
    pipeline.get("{rust}:a").get("{rust}:b").del("{rust}:a").del("{rust}:b");
    let replies: Vec<Value> = pipeline.query(&mut connection)?;
    assert_eq!(replies.len(), 4);
    for n in 0..KEYS {
        let () = connection.del(format!("rust:{n}"))?;
    }
    Ok(())
}
