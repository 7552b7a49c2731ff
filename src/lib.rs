//! Run logs written offline.
