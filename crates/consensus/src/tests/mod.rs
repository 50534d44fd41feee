//! A cluster of groups in one thread with a virtual clock, told by scripts or by a seed, under checkers that are always on.

mod checker;
mod cluster;
mod fuzz;
mod replica;
mod script;
mod units;
