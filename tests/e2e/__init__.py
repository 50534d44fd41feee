"""End-to-end tests: real clients against the real binary. Run them with `cargo xtask test`."""
