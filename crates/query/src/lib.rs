//! Answers the query over HTTP: routes, tokens, sockets.

pub mod auth;
