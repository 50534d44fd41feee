//! SET over the Redis protocol.

use crate::keys::Keys;
use crate::{Failure, Measured};
use std::ops::Range;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OK: &[u8] = b"+OK\r\n";

async fn connect(port: u16) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn set(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len()).as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Reads as many `OK`s as were asked for; anything else is a failure.
async fn read_oks(stream: &mut TcpStream, count: usize, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    buffer.resize(count * OK.len(), 0);
    stream.read_exact(&mut buffer[..OK.len()]).await?;
    if &buffer[..OK.len()] == OK {
        stream.read_exact(&mut buffer[OK.len()..]).await?;
    }
    match buffer.chunks(OK.len()).all(|chunk| chunk == OK) {
        true => Ok(()),
        false => Err(format!("not OK: {}", String::from_utf8_lossy(&buffer[..buffer.len().min(80)])).into()),
    }
}

/// Sets keys drawn at random until the measured time is over.
pub async fn set_until(port: u16, mut keys: Keys, measured: &Measured) -> Result<(), Failure> {
    let mut stream = connect(port).await?;
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    loop {
        request.clear();
        set(&mut request, &keys.draw(), &keys.value());
        let began = Instant::now();
        stream.write_all(&request).await?;
        read_oks(&mut stream, 1, &mut reply).await?;
        if !measured.count(began) {
            return Ok(());
        }
    }
}

/// Sets every key of a range once, a pipeline at a time.
pub async fn fill(port: u16, mut keys: Keys, range: Range<u64>, batch: u64) -> Result<(), Failure> {
    let mut stream = connect(port).await?;
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    let mut next = range.start;
    while next < range.end {
        let end = range.end.min(next + batch);
        request.clear();
        (next..end).for_each(|number| set(&mut request, &Keys::name(number), &keys.value()));
        stream.write_all(&request).await?;
        read_oks(&mut stream, (end - next) as usize, &mut reply).await?;
        next = end;
    }
    Ok(())
}
