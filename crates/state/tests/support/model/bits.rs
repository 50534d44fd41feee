//! Bits, as a list of truth values.

use super::{Model, Value, Words, int, number};
use command::Reply;

pub const COMMANDS: &str = " setbit getbit bitcount bitpos bitop ";

fn of_bytes(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1 == 1)).collect()
}

fn to_bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().enumerate().map(|(i, bit)| u8::from(*bit) << (7 - i)).sum()).collect()
}

impl Model {
    fn get_bits(&mut self, key: &[u8]) -> Result<Vec<bool>, Reply> {
        Ok(of_bytes(&self.get_text(key)?.unwrap_or_default()))
    }

    /// The bits that a range of bytes or bits names, with their positions.
    fn range_of_bits(bits: &[bool], ends: Words<'_>) -> Vec<(usize, bool)> {
        let width = if ends.get(2).is_some_and(|unit| unit == b"BIT") { 1 } else { 8 };
        let units = (bits.len() / width) as i64;
        let place = |word: Option<&Vec<u8>>, default| match word.map_or(default, |w| number(w).unwrap()) {
            n if n < 0 => (n + units).max(0),
            n => n,
        };
        let (from, to) = (place(ends.first(), 0), place(ends.get(1), -1));
        let inside = |at: &usize| (from..=to).contains(&((at / width) as i64));
        bits.iter().copied().enumerate().filter(|(at, _)| inside(at)).collect()
    }

    pub(super) fn bits(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        if name == "bitop" {
            return self.bitop(a);
        }
        let mut bits = self.get_bits(&a[0])?;
        let at = |n: usize| number(&a[n]).unwrap();
        Ok(match name {
            "getbit" => int(usize::from(bits.get(at(1) as usize) == Some(&true))),
            "setbit" => {
                let place = at(1) as usize;
                bits.resize(bits.len().max((place / 8 + 1) * 8), false);
                let old = std::mem::replace(&mut bits[place], at(2) == 1);
                self.set_value(&a[0], Value::Text(to_bytes(&bits)));
                int(usize::from(old))
            }
            "bitcount" if a.len() > 2 && at(1) < 0 && at(2) < 0 && at(1) > at(2) => int(0),
            "bitcount" => int(Self::range_of_bits(&bits, &a[1..]).iter().filter(|(_, bit)| *bit).count()),
            "bitpos" if self.entry(&a[0]).is_none() => Reply::Integer(-at(1)),
            "bitpos" => {
                let sought = at(1) == 1;
                let found = Self::range_of_bits(&bits, &a[2..]).into_iter().find(|(_, bit)| *bit == sought);
                match found {
                    Some((place, _)) => int(place),
                    None if !sought && a.len() < 4 && !bits.is_empty() => int(bits.len()),
                    None => Reply::Integer(-1),
                }
            }
            other => panic!("the model has no {other}"),
        })
    }

    fn bitop(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let operands: Vec<Vec<bool>> = a[2..].iter().map(|k| self.get_bits(k)).collect::<Result<_, _>>()?;
        let len = operands.iter().map(Vec::len).max().unwrap();
        let result: Vec<bool> = (0..len)
            .map(|i| {
                let mut bits = operands.iter().map(|bits| bits.get(i) == Some(&true));
                match &a[0][..] {
                    b"AND" => bits.all(|bit| bit),
                    b"OR" => bits.any(|bit| bit),
                    b"XOR" => bits.filter(|bit| *bit).count() % 2 == 1,
                    _ => !bits.next().unwrap(),
                }
            })
            .collect();
        self.delete(&a[1]);
        if len > 0 {
            self.put(&a[1], Value::Text(to_bytes(&result)), None);
        }
        Ok(int(len / 8))
    }
}
