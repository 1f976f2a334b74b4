//! Forks, where processes begin that way.

#[cfg(unix)]
pub use unix::{Gate, at_fork};
#[cfg(not(unix))]
pub use without::{Gate, at_fork};

#[cfg(unix)]
mod unix {
    use std::cell::UnsafeCell;

    /// A lock that may be released in the child of a fork.
    pub struct Gate(UnsafeCell<libc::pthread_mutex_t>);

    // SAFETY: a pthread mutex is made to be used by several threads.
    unsafe impl Sync for Gate {}

    impl Gate {
        /// One that stays where it is: in a static.
        pub const fn open() -> Self {
            Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
        }

        pub fn lock(&'static self) {
            // SAFETY: the mutex is static and initialised.
            unsafe { libc::pthread_mutex_lock(self.0.get()) };
        }

        pub fn unlock(&'static self) {
            // SAFETY: called by the thread that locked, or by its copy in a child.
            unsafe { libc::pthread_mutex_unlock(self.0.get()) };
        }
    }

    /// Have each fork from now on, from C too, call these.
    ///
    /// # Safety
    /// They touch statics only, and do nothing that is not allowed in a child of many threads.
    pub unsafe fn at_fork(
        before: extern "C" fn(),
        parent: extern "C" fn(),
        child: extern "C" fn(),
    ) {
        // SAFETY: what the caller promises.
        unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    }
}

#[cfg(not(unix))]
mod without {
    pub struct Gate(());

    impl Gate {
        pub const fn open() -> Self {
            Self(())
        }

        pub fn lock(&'static self) {}

        pub fn unlock(&'static self) {}
    }

    /// # Safety
    /// None of them is ever called.
    pub unsafe fn at_fork(_: extern "C" fn(), _: extern "C" fn(), _: extern "C" fn()) {}
}
