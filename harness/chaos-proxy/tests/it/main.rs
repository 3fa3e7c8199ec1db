//! The data plane over real loopback connections, driven through its control protocol.

mod bench;
mod control;
mod crowd;
mod traffic;
