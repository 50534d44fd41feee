//! A running Redis to compare with, spoken to in RESP3.

use bytes::Bytes;
use command::Reply;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    pub fn connect(address: &str) -> Peer {
        let mut peer = Peer { stream: BufReader::new(TcpStream::connect(address).unwrap()) };
        peer.run(&["HELLO", "3"]);
        peer
    }

    pub fn run<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Reply {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
            out.extend_from_slice(word.as_ref());
            out.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&out).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end_matches(['\r', '\n']).split_at(1);
        let count = || rest.parse::<usize>().unwrap();
        match kind {
            "+" => Reply::Simple(rest.to_owned().into()),
            "-" => Reply::Error(rest.to_owned().into()),
            ":" => Reply::Integer(rest.parse().unwrap()),
            "_" => Reply::Null,
            "$" => {
                let mut bytes = vec![0; count() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(count());
                Reply::Bulk(Bytes::from(bytes))
            }
            "*" => Reply::Array((0..count()).map(|_| self.reply()).collect()),
            "~" => Reply::Set((0..count()).map(|_| self.reply()).collect()),
            "," => Reply::Double(rest.parse().unwrap()),
            "%" => Reply::Map((0..count()).map(|_| (self.reply(), self.reply())).collect()),
            other => panic!("Redis sent a reply of kind {other}"),
        }
    }
}
