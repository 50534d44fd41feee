//! What leaves a connection: replies in the order of commands, and what the client is told without having asked.

use super::{Connection, Manner, OUTPUT_KEEP_BYTES, OUTPUT_PAUSE_BYTES};
use crate::clock;
use command::Reply;
use node::gateway::{Context, Told, Turn};
use protocol::resp::encode;
use std::io;

impl Connection {
    pub(super) fn reply(&mut self, reply: Reply, turns: Vec<Turn>, manner: Manner) {
        if self.pipeline.is_empty() {
            self.emit(reply, turns, manner);
        } else {
            self.pipeline.ready(reply, turns, manner);
        }
    }

    /// Puts a reply behind those before it. What waited for this moment is carried out first.
    fn emit(&mut self, reply: Reply, turns: Vec<Turn>, manner: Manner) {
        if !turns.is_empty() {
            return self.take_turns(reply, turns, manner);
        }
        if !manner.mute {
            encode(&reply, manner.version, &mut self.output);
        }
    }

    /// What others told this client before the turns were taken is written before the replies to them, and what they told it
    /// since behind them; where it hears something no more, nothing of it is left to tell.
    fn take_turns(&mut self, reply: Reply, turns: Vec<Turn>, manner: Manner) {
        let node = self.node.clone();
        let table = self.table.clone();
        let cx = Context { gateway: &node.gateway, table: &table, now: clock::now(), wall: clock::wall() };
        let before = self.mailbox.pushes();
        let Told { replies, aloud, ended, publications } = self.session.take_turns(reply, turns, cx);
        node.tell_peers(publications);
        let earlier = if ended { self.mailbox.pushes() } else { before };
        for message in std::iter::repeat_with(|| self.mailbox.next_push()).take(earlier).flatten() {
            encode(&message, manner.version, &mut self.output);
        }
        if aloud || !manner.mute {
            replies.iter().for_each(|reply| encode(reply, manner.version, &mut self.output));
        }
        self.addressed = true;
        self.encode_pushes();
    }

    pub(super) fn encode_ready(&mut self) {
        while self.may_encode()
            && let Some((reply, turns, manner)) = self.pipeline.pop()
        {
            self.emit(reply, turns, manner);
        }
    }

    /// Encodes what the client is told without having asked, as far as there is room.
    pub(super) fn encode_pushes(&mut self) {
        while self.addressed && self.may_encode() {
            match self.mailbox.next_push() {
                Some(message) => encode(&message, self.version(), &mut self.output),
                None => self.addressed = false,
            }
        }
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.try_write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.written += n;
                    self.sent += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            if self.output.capacity() > OUTPUT_KEEP_BYTES {
                self.output = Vec::new();
            }
        } else if self.written > OUTPUT_PAUSE_BYTES {
            self.output.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
