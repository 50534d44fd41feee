//! Questions to a node over HTTP.

use crate::tools::Outcome;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a node may take to answer: a paused one never does.
const LIMIT: Duration = Duration::from_millis(700);

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Status code and body of a page.
///
/// # Errors
/// Nobody answered, or it was no HTTP.
pub fn get(at: SocketAddr, path: &str) -> Outcome<(u16, String)> {
    let text = exchange(at, path).map_err(|e| format!("http://{at}{path}: {e}"))?;
    let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (code, text.split_once("\r\n\r\n")) {
        (Some(code), Some((_, body))) => Ok((code, body.to_owned())),
        _ => Err(format!("http://{at}{path}: no HTTP")),
    }
}

/// The page `/status` of a node.
///
/// # Errors
/// As for [`get`].
pub fn status(at: SocketAddr) -> Outcome<Value> {
    let (_, body) = get(at, "/status")?;
    serde_json::from_str(&body).map_err(|e| format!("http://{at}/status: {e}"))
}

fn exchange(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // Version 1.0: no chunks, and the end of the connection is the end of the body.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n")?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
