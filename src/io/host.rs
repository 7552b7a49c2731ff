//! What this machine is called.

/// The name of this machine; empty where there is none.
pub(crate) fn host_name() -> String {
    #[cfg(any(unix, windows))]
    let name = hostname::get().unwrap_or_default();
    #[cfg(not(any(unix, windows)))]
    let name = std::ffi::OsString::new();
    name.to_string_lossy().into_owned()
}
