//! TCP sockets of this machine, and the ports there are for outgoing ones.
//!
//! `/proc/net/sockstat` counts all of the network namespace, so this is the most that may be ours;
//! ports are used up per destination, so it is an early sign and no proof.
//! Invariant: without procfs it is `None`.

use std::fs;

use chaos_record::health::Used;

pub(super) fn used() -> Option<Used> {
    let sockets = sockets(&fs::read_to_string("/proc/net/sockstat").ok()?)?;
    let limit = range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)?;
    Some(Used {
        used: sockets,
        limit,
    })
}

/// Open ones and those in `TIME_WAIT`, which hold their port for a minute.
fn sockets(text: &str) -> Option<u64> {
    let tcp = text.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let words: Vec<&str> = tcp.split_whitespace().collect();
    let number = |name: &str| {
        let pair = words.chunks(2).find(|pair| pair[0] == name)?;
        pair.get(1)?.parse::<u64>().ok()
    };
    Some(number("inuse")? + number("tw")?)
}

fn range(text: &str) -> Option<u64> {
    let mut ends = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_kernel_writes() {
        let text =
            "sockets: used 23\nTCP: inuse 5 orphan 0 tw 605 alloc 5 mem 239\nUDP: inuse 1 mem 0\n";
        assert_eq!(sockets(text), Some(610));
        assert_eq!(sockets("UDP: inuse 1\n"), None);
        assert_eq!(range("32768\t60999\n"), Some(28_232));
    }
}
