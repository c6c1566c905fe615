//! The Cloudflare Worker's entry points.
