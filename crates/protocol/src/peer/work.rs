//! Work that one node forwards to another.

use super::wire::{Wire, put_list, take_count};
use bytes::Bytes;
use cluster::Request;
use command::{Args, Command, MAX_ARGUMENTS, SessionId, Work};
use stdx::codec::{DecodeError, Put, Reader};
use stdx::{NodeId, ShardId};

const SINGLE: u8 = 1;
const TRANSACTION: u8 = 2;
const WATCH: u8 = 3;
const UNWATCH: u8 = 4;
const BLOCKING: u8 = 5;

impl Wire for Request {
    fn put(&self, out: &mut Vec<u8>) {
        self.shard.put(out);
        self.session.put(out);
        self.db.put(out);
        self.resp.put(out);
        self.timeout_ms.put(out);
        self.stale_ok.put(out);
        self.work.put(out);
    }

    fn read(r: &mut Reader) -> Result<Request, DecodeError> {
        Ok(Request {
            shard: ShardId::read(r)?,
            session: SessionId::read(r)?,
            db: u16::read(r)?,
            resp: u8::read(r)?,
            timeout_ms: u32::read(r)?,
            stale_ok: bool::read(r)?,
            work: Work::read(r)?,
        })
    }
}

impl Wire for SessionId {
    fn put(&self, out: &mut Vec<u8>) {
        self.node.put(out);
        self.client.put(out);
    }

    fn read(r: &mut Reader) -> Result<SessionId, DecodeError> {
        Ok(SessionId { node: NodeId::read(r)?, client: r.varint()? })
    }
}

impl Wire for Work {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Work::Single(command) => {
                out.put_u8(SINGLE);
                command.put(out);
            }
            Work::Transaction { commands, watched } => {
                out.put_u8(TRANSACTION);
                watched.put(out);
                commands.put(out);
            }
            Work::Watch { keys, continues } => {
                out.put_u8(WATCH);
                continues.put(out);
                keys.put(out);
            }
            Work::Unwatch => out.put_u8(UNWATCH),
            Work::Blocking { command, number, waited_ms } => {
                out.put_u8(BLOCKING);
                (*number, *waited_ms).put(out);
                command.put(out);
            }
        }
    }

    fn read(r: &mut Reader) -> Result<Work, DecodeError> {
        Ok(match r.u8()? {
            SINGLE => Work::Single(Command::read(r)?),
            TRANSACTION => Work::Transaction { watched: bool::read(r)?, commands: Vec::read(r)? },
            WATCH => Work::Watch { continues: bool::read(r)?, keys: Vec::read(r)? },
            UNWATCH => Work::Unwatch,
            BLOCKING => {
                let (number, waited_ms) = Wire::read(r)?;
                Work::Blocking { command: Command::read(r)?, number, waited_ms }
            }
            _ => return Err(DecodeError::Malformed("kind of work")),
        })
    }
}

/// A command travels as its words and is parsed again, so that a receiver never holds one that its own table refuses.
impl Wire for Command {
    fn put(&self, out: &mut Vec<u8>) {
        put_list::<Bytes>(&self.args, out);
    }

    fn read(r: &mut Reader) -> Result<Command, DecodeError> {
        let count = take_count(r)?;
        if count > MAX_ARGUMENTS {
            return Err(DecodeError::Malformed("command has too many words"));
        }
        let mut args = Args::new();
        for _ in 0..count {
            args.push(r.bytes()?);
        }
        Command::parse(args).map_err(|_| DecodeError::Malformed("command that this node does not serve"))
    }
}
