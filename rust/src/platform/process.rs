//! What the system knows of this process.

/// Microseconds of the processors' time that this process has had.
#[cfg(unix)]
pub fn processor_micros() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` outlives the call and is zeroed, which is a value of its type.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}

#[cfg(windows)]
pub fn processor_micros() -> u64 {
    use windows_sys::Win32::Foundation::FILETIME;
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessTimes};

    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut made, mut ended, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: all four outlive the call; on failure they stay zero.
    unsafe {
        GetProcessTimes(GetCurrentProcess(), &mut made, &mut ended, &mut kernel, &mut user);
    }
    // Tenths of a microsecond.
    let micros = |time: FILETIME| {
        (u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)) / 10
    };
    micros(kernel) + micros(user)
}
