//! A small blocking HTTP GET, enough to ask a node on the same machine or network how it is.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A larger answer is not from a node: 1,000 shards take about 200 KiB.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status code.
    pub code: u16,
    /// The body, as text.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum HttpError {
    /// The address does not name a host and a port.
    Address(String),
    /// Nobody listens, or it took too long.
    Io(io::Error),
    /// What answered does not speak HTTP.
    NotHttp,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Address(address) => write!(f, "{address} is no host:port"),
            HttpError::Io(error) if is_timeout(error) => f.write_str("no answer in time"),
            HttpError::Io(error) => error.fmt(f),
            HttpError::NotHttp => f.write_str("what listens there does not speak HTTP"),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> HttpError {
        HttpError::Io(error)
    }
}

/// Gets `path` from `address` (`host:port`); everything together takes at most `limit`.
pub fn get(address: &str, path: &str, limit: Duration) -> Result<Response, HttpError> {
    let deadline = Instant::now() + limit;
    let no_address = || HttpError::Address(address.to_owned());
    let target = address.to_socket_addrs().map_err(|_| no_address())?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&target, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    // Version 1.0: the answer ends with the connection and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk)? {
            0 => return parse(&bytes),
            n if bytes.len() + n > RESPONSE_BYTES_MAX => return Err(HttpError::NotHttp),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn parse(bytes: &[u8]) -> Result<Response, HttpError> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(HttpError::NotHttp)?;
    let mut words = head.split_whitespace();
    let version = words.next().unwrap_or_default();
    let code = words.next().and_then(|code| code.parse().ok());
    match code {
        Some(code) if version.starts_with("HTTP/1.") => Ok(Response { code, body: body.to_owned() }),
        _ => Err(HttpError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Serves `answer` to one connection and gives its address.
    fn serve(answer: &'static [u8], linger: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(answer);
            std::thread::sleep(linger);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // Bytes left unread would reset the connection and take the answer with it.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        address
    }

    #[test]
    fn reads_code_and_body() {
        let address = serve(b"HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\nstarting", Duration::ZERO);
        let response = get(&address, "/readyz", Duration::from_secs(5)).unwrap();
        assert_eq!((response.code, response.body.as_str()), (503, "starting"));
    }

    #[test]
    fn other_protocols_are_told_apart() {
        let address = serve(b"-ERR unknown command 'GET'\r\n", Duration::ZERO);
        assert!(matches!(get(&address, "/", Duration::from_secs(5)), Err(HttpError::NotHttp)));
    }

    #[test]
    fn silence_ends_at_the_limit() {
        let address = serve(b"HTTP/1.0 200", Duration::from_secs(3));
        let begun = Instant::now();
        let error = get(&address, "/", Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.to_string(), "no answer in time");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn an_address_needs_a_port() {
        assert!(matches!(get("localhost", "/", Duration::from_secs(1)), Err(HttpError::Address(_))));
    }
}
