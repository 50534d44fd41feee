//! Put and transactions over etcd's gRPC API, written by hand: a request is two or three protobuf fields, and a generated
//! client would cost more than the request. The messages are those of etcd's `rpc.proto`:
//!
//! ```text
//!   PutRequest { bytes key = 1; bytes value = 2; }
//!   TxnRequest { repeated RequestOp success = 2; }      RequestOp { PutRequest request_put = 2; }
//! ```

use crate::keys::Keys;
use crate::{Failure, Measured};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::ops::Range;
use std::time::Instant;
use tokio::net::TcpStream;

const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";

async fn connect(port: u16) -> Result<SendRequest<Bytes>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(stream).await?;
    // The connection's own task ends with the connection; its error reaches the request that waits.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(client)
}

/// Appends a length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

fn put(key: &str, value: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(key.len() + value.len() + 8);
    field(&mut message, 1, key.as_bytes());
    field(&mut message, 2, value);
    message
}

/// One unary call; the reply's content does not matter, its status does.
async fn call(client: &mut SendRequest<Bytes>, path: &str, message: &[u8]) -> Result<(), Failure> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
    frame.extend_from_slice(message);
    let request = Request::post(format!("http://127.0.0.1{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    std::future::poll_fn(|cx| client.poll_ready(cx)).await?;
    let (response, mut body) = client.send_request(request, false)?;
    body.send_data(frame.into(), true)?;
    let mut reply = response.await?.into_body();
    while let Some(data) = reply.data().await {
        let length = data?.len();
        reply.flow_control().release_capacity(length)?;
    }
    let trailers = reply.trailers().await?.unwrap_or_default();
    match trailers.get("grpc-status").map(|status| status.as_bytes()) {
        Some(b"0") => Ok(()),
        _ => Err(format!("etcd refused: {trailers:?}").into()),
    }
}

/// Puts keys drawn at random until the measured time is over.
pub async fn put_until(port: u16, mut keys: Keys, measured: &Measured) -> Result<(), Failure> {
    let mut client = connect(port).await?;
    loop {
        let message = put(&keys.draw(), &keys.value());
        let began = Instant::now();
        call(&mut client, PUT, &message).await?;
        if !measured.count(began) {
            return Ok(());
        }
    }
}

/// Puts every key of a range once, a transaction at a time.
pub async fn fill(port: u16, mut keys: Keys, range: Range<u64>, batch: u64) -> Result<(), Failure> {
    let mut client = connect(port).await?;
    let mut next = range.start;
    while next < range.end {
        let end = range.end.min(next + batch);
        let mut message = Vec::new();
        for number in next..end {
            let mut operation = Vec::new();
            field(&mut operation, 2, &put(&Keys::name(number), &keys.value()));
            field(&mut message, 2, &operation);
        }
        call(&mut client, TXN, &message).await?;
        next = end;
    }
    Ok(())
}
