//! Ctrl-C and the like: the run ends early, and cleans up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// A flag that becomes true when this process is asked to end.
///
/// # Errors
/// The system refused.
pub fn asked_to_end() -> Result<Arc<AtomicBool>, String> {
    let asked = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|e| e.to_string())?;
    let flag = Arc::clone(&asked);
    let listen = move || {
        runtime.block_on(async move {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds else {
                eprintln!("nemesis: signals cannot be caught; an interrupted run is cleaned up by the next one");
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            flag.store(true, Ordering::Relaxed);
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(|e| e.to_string())?;
    Ok(asked)
}
