//! Nodes that do not hear each other. Clients reach all of them all the time, as in Jepsen's tests.

use super::{Fault, shown, shuffled, target};
use crate::cluster::Cluster;
use crate::net::{Imposed, Net};
use crate::tools::Outcome;
use stdx::Rng;

/// Who does not hear whom.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One node and the others.
    Isolate,
    /// A majority and a minority.
    Split,
    /// What one node sends does not arrive, or what is sent to it.
    OneWay,
    /// Two nodes; all others hear both.
    Partial,
}

/// A partition.
pub struct Partition {
    shape: Shape,
    imposed: Option<Imposed>,
}

impl Partition {
    /// A partition of this shape.
    pub fn new(shape: Shape) -> Partition {
        Partition { shape, imposed: None }
    }
}

impl Fault for Partition {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let nodes = cluster.nodes.len();
        let order = shuffled(nodes, rng);
        let victim = target(cluster, rng).unwrap_or(order[0]);
        let others: Vec<usize> = order.iter().copied().filter(|node| *node != victim).collect();
        let (rules, what) = match self.shape {
            Shape::Isolate => (between(&[victim], &others), format!("node {} and no other", shown(&[victim]))),
            Shape::Split => {
                let (minority, majority) = order.split_at((nodes - 1) / 2);
                (between(minority, majority), format!("node {} | node {}", shown(minority), shown(majority)))
            }
            Shape::OneWay if rng.one_in(2) => {
                let rules = others.iter().map(|other| Net::drop_between(victim, *other)).collect();
                (rules, format!("nobody hears node {}", shown(&[victim])))
            }
            Shape::OneWay => {
                let rules = others.iter().map(|other| Net::drop_between(*other, victim)).collect();
                (rules, format!("node {} hears nobody", shown(&[victim])))
            }
            Shape::Partial => {
                let other = &others[..1];
                (between(&[victim], other), format!("node {} and node {}", shown(&[victim]), shown(other)))
            }
        };
        self.imposed = Some(cluster.net.impose(rules)?);
        Ok(Some(what))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        match self.imposed.take() {
            Some(imposed) => Ok(cluster.net.lift(&imposed)? > 0),
            None => Ok(false),
        }
    }
}

/// Rules that drop everything between two groups, both ways.
fn between(some: &[usize], others: &[usize]) -> Vec<String> {
    let pairs = some.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [Net::drop_between(a, b), Net::drop_between(b, a)]).collect()
}
