//! How Convex talks: requests, values, error bodies.
