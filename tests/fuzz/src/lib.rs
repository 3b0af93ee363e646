//! Fuzz targets of the parsers and signature checks that strangers reach. `scripts/fuzz` runs them under libFuzzer;
//! `services/channel-gateway/tests/corpus.rs` runs their seeds in every `scripts/test`.

pub mod targets;
