//! The native harness: isolates, objects and a network on virtual time, over the same core.
