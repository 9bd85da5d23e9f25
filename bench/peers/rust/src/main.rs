//! Peer: Rust.  memmap2 in an Arc that each slice carries along; dropped at once, no collector.
//!
//! Usage: cycle BYTES CYCLES FILE; see compare.c for the protocol.
//!
//! SPDX-License-Identifier: MIT
use memmap2::Mmap;
use std::fs::File;
use std::hint::black_box;
use std::io::{stdin, Read};
use std::sync::Arc;
use std::time::Instant;

struct Slice {
    owner: Arc<Mmap>,
    offset: usize,
}

#[inline(never)]
fn cycle(file: &File, size: usize) -> u8 {
    let owner = Arc::new(unsafe { Mmap::map(file) }.expect("mmap"));
    let slice = Slice { owner, offset: size / 2 };
    black_box(slice.owner[slice.offset])
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let size: usize = args[1].parse().expect("BYTES");
    let n: usize = args[2].parse().expect("CYCLES");
    let file = File::open(&args[3]).expect("FILE");
    let mut byte = [0];
    while stdin().read(&mut byte).expect("stdin") == 1 {
        let start = Instant::now();
        for _ in 0..n {
            cycle(&file, size);
        }
        let took = start.elapsed().as_nanos();
        println!("{} {} 0", took, took);
    }
}
