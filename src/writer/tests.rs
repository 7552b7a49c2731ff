//! Behaviour that needs a sink of its own.
