"""What the real-client suites and the demo share: servers to start, and ways to drive and watch them."""
