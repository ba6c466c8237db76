//! Counts, sizes and times as people read them.

use std::time::Duration;

/// A count with thousands separators: `652,824`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things in words: `1 epoch`, `652,824 epochs`.
pub fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A size in three significant digits: `2.49 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut size = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.5 is where three digits would round up to a fourth.
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.decimals$} {}", UNITS[unit])
}

/// A time: `3.2 s` below a minute, then `1:05` and `1:02:03`.
pub fn duration(time: Duration) -> String {
    if time.as_secs_f64() < 59.95 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators_every_three_digits() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (652_824, "652,824"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_235, "10.0 KiB"),
            (102_400, "100 KiB"),
            (1_048_575, "1.00 MiB"),
            (2_611_296, "2.49 MiB"),
            (1 << 32, "4.00 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
    }

    #[test]
    fn times_read_like_a_clock_from_a_minute_on() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (3_240, "3.2 s"),
            (59_940, "59.9 s"),
            (59_960, "1:00"),
            (65_000, "1:05"),
            (3_599_600, "1:00:00"),
            (3_723_000, "1:02:03"),
            (360_000_000, "100:00:00"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text, "{milliseconds}");
        }
    }
}
