//! Which callee instance a new connection goes to.
//!
//! Invariant: decides only; it opens no connection. The count of an instance's open connections
//! survives its ejection, so that one that comes back under the same address is not flooded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The instances of one service that new connections may go to, shared by all callers.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    members: Vec<Member>,
    /// Ejected, with connections still open.
    former: Vec<Member>,
    /// Where the search for the next tie begins.
    turn: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance: String,
    pub(crate) address: SocketAddr,
    open: Arc<AtomicU64>,
}

impl Member {
    pub(crate) fn new(instance: &str, address: SocketAddr) -> Self {
        Self {
            instance: instance.to_owned(),
            address,
            open: Arc::default(),
        }
    }

    fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        self.instance == other.instance && self.address == other.address
    }
}

/// A connection counted against the instance it goes to, until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) instance: String,
    pub(crate) address: SocketAddr,
    open: Arc<AtomicU64>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Balance {
    /// Replaces the set of instances.
    pub(crate) fn set(&mut self, wanted: Vec<Member>) {
        let mut known: Vec<Member> = self
            .members
            .drain(..)
            .chain(self.former.drain(..))
            .collect();
        for member in wanted {
            match known.iter().position(|old| old.is(&member)) {
                Some(at) => self.members.push(known.swap_remove(at)),
                None => self.members.push(member),
            }
        }
        self.former = known;
        self.forget_idle();
    }

    /// Takes one instance out; its open connections stay. False if it was not in.
    pub(crate) fn eject(&mut self, instance: &str) -> bool {
        let before = self.members.len();
        let out = self
            .members
            .extract_if(.., |member| member.instance == instance);
        self.former.extend(out);
        self.forget_idle();
        self.members.len() < before
    }

    /// Leases the instance with the fewest open connections that is not in `tried`; ties go round.
    pub(crate) fn pick(&mut self, tried: &[String]) -> Option<Lease> {
        let count = self.members.len();
        let at = (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(|&at| !tried.contains(&self.members[at].instance))
            .min_by_key(|&at| self.members[at].open())?;
        self.turn = (at + 1) % count;
        let member = &self.members[at];
        member.open.fetch_add(1, Ordering::Relaxed);
        Some(Lease {
            instance: member.instance.clone(),
            address: member.address,
            open: Arc::clone(&member.open),
        })
    }

    fn forget_idle(&mut self) {
        self.former.retain(|member| member.open() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(instance: &str, port: u16) -> Member {
        Member::new(instance, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn balance(instances: &[&str]) -> Balance {
        let mut balance = Balance::default();
        balance.set(
            instances
                .iter()
                .zip(1..)
                .map(|(name, port)| member(name, port))
                .collect(),
        );
        balance
    }

    /// Picks once for each expected name and keeps the leases.
    fn check(balance: &mut Balance, tried: &[&str], expected: &[&str]) -> Vec<Lease> {
        let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
        let leases: Vec<Lease> = expected
            .iter()
            .map_while(|_| balance.pick(&tried))
            .collect();
        let picked: Vec<&str> = leases.iter().map(|lease| lease.instance.as_str()).collect();
        assert_eq!(picked, expected);
        leases
    }

    #[test]
    fn ties_go_round() {
        let mut balance = balance(&["a", "b", "c"]);
        let leases = check(&mut balance, &[], &["a", "b", "c", "a", "b", "c"]);
        drop(leases);
        for expected in ["a", "b", "c", "a"] {
            check(&mut balance, &[], &[expected]);
        }
    }

    #[test]
    fn the_fewest_open_connections_win() {
        let mut balance = balance(&["a", "b"]);
        let mut leases = check(&mut balance, &[], &["a", "b", "a", "b"]);
        leases.remove(1);
        leases.remove(2);
        check(&mut balance, &[], &["b", "b"]);
    }

    #[test]
    fn an_instance_is_tried_once() {
        let mut balance = balance(&["a", "b"]);
        check(&mut balance, &["a"], &["b", "b", "b"]);
        assert!(balance.pick(&["a".to_owned(), "b".to_owned()]).is_none());
        assert!(Balance::default().pick(&[]).is_none());
    }

    #[test]
    fn an_ejected_instance_keeps_its_count_under_its_address() {
        let mut balance = balance(&["a", "b"]);
        let leases = check(&mut balance, &[], &["a", "b", "a", "b"]);
        assert!(balance.eject("b"));
        assert!(!balance.eject("b"));
        let _more = check(&mut balance, &[], &["a"]);
        balance.set(vec![member("a", 1), member("b", 2)]);
        let _even = check(&mut balance, &[], &["b"]);
        balance.set(vec![member("a", 1), member("b", 9)]);
        let _new_address = check(&mut balance, &[], &["b", "b", "b"]);
        drop(leases);
        balance.eject("nobody");
        assert_eq!(
            balance.former.len(),
            1,
            "the old `b` with one connection left"
        );
    }
}
