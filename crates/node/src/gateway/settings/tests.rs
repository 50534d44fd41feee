use super::Settings;
use bytes::Bytes;
use command::Reply;

fn settings() -> Settings {
    Settings::new(100, 1 << 20, "127.0.0.1", 6379)
}

/// The lines of a story: `GET patterns` and `SET pairs` with what they answer.
fn check(settings: &Settings, words: &str, expected: &str) {
    let words: Vec<Bytes> = words.split('|').map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
    let answer = match words[0].as_ref() {
        b"GET" => match settings.get(words[1..].iter().map(|w| w.as_ref())) {
            Reply::Map(pairs) => pairs
                .iter()
                .map(|(k, v)| match (k, v) {
                    (Reply::Bulk(k), Reply::Bulk(v)) => {
                        format!("{}={}", String::from_utf8_lossy(k), String::from_utf8_lossy(v))
                    }
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        },
        _ => match settings.set(&words[1..]) {
            Ok(_) => "OK".into(),
            Err(Reply::Error(line)) => line.into_owned(),
            Err(other) => format!("{other:?}"),
        },
    };
    assert_eq!(answer, expected, "{words:?}");
}

#[test]
fn what_is_set_is_read_back() {
    let s = settings();
    check(&s, "GET|maxclients", "maxclients=100");
    check(&s, "SET|maxclients|7|timeout|3", "OK");
    assert_eq!((s.max_clients(), s.idle_timeout().map(|t| t.as_secs())), (7, Some(3)));
    check(&s, "GET|max*ents|TIMEOUT", "maxclients=7 timeout=3");
    check(&s, "SET|hash-max-ziplist-entries|9", "OK");
    check(&s, "GET|hash-max-*-entries", "hash-max-listpack-entries=9 hash-max-ziplist-entries=9");
    check(&s, "SET|proto-max-bulk-len|2mb", "OK");
    check(&s, "GET|proto-max-bulk-len", "proto-max-bulk-len=2097152");
    check(&s, "SET|client-output-buffer-limit|normal 5mb 0 0", "OK");
    assert_eq!(s.output_limit(), 5 << 20);
    check(&s, "GET|nothing-like-this", "");
}

#[test]
fn what_is_wrong_changes_nothing() {
    let s = settings();
    let failed =
        |name: &str, why: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
    check(&s, "SET|foo|1", "ERR Unknown option or number of arguments for CONFIG SET - 'foo'");
    check(&s, "SET|timeout|5|maxclients|x", &failed("maxclients", "argument couldn't be parsed into an integer"));
    check(&s, "GET|timeout", "timeout=0");
    check(&s, "SET|maxclients|0", &failed("maxclients", "argument must be between 1 and 2147483647 inclusive"));
    check(&s, "SET|timeout|1|timeout|2", &failed("timeout", "duplicate parameter"));
    check(&s, "SET|port|1", &failed("port", "can't set immutable config"));
    check(&s, "SET|hz", "ERR wrong number of arguments for 'config|set' command");
    check(&s, "SET|activerehashing|maybe", &failed("activerehashing", "argument must be 'yes' or 'no'"));
    check(&s, "SET|appendfsync|no", &failed("appendfsync", "Polder always runs with 'always'"));
    check(&s, "SET|appendfsync|always", "OK");
}
