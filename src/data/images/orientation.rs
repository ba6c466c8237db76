//! How a camera was held: the tag of a JPEG file that says which way up the picture is.

/// One of the eight ways in which rows and columns may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// Whether rows are stored as columns.
    transposed: bool,
    /// Whether, looked at upright, what is on the left is stored on the right.
    mirrored: bool,
    /// Whether, looked at upright, what is at the top is stored at the bottom.
    upside_down: bool,
}

/// The tag of the orientation (Exif 2.3, section 4.6.4).
const TAG: u16 = 0x0112;

impl Orientation {
    /// What the Exif block of a file says; upright where it says nothing that makes sense.
    pub fn of(exif: &[u8]) -> Self {
        let code = tag(exif).unwrap_or(1);
        let (transposed, mirrored, upside_down) = match code {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transposed, mirrored, upside_down }
    }

    /// The width and height of the upright picture, or of the stored one: the two questions have the same answer.
    pub fn size(self, [width, height]: [usize; 2]) -> [usize; 2] {
        if self.transposed { [height, width] } else { [width, height] }
    }

    /// Pixels of so many samples in the order of the upright picture, which has the size given.
    pub fn upright(self, [width, height]: [usize; 2], channels: usize, stored: &[u8]) -> Vec<u8> {
        let [stored_width, _] = self.size([width, height]);
        let mut upright = Vec::with_capacity(stored.len());
        for y in 0..height {
            for x in 0..width {
                let x = if self.mirrored { width - 1 - x } else { x };
                let y = if self.upside_down { height - 1 - y } else { y };
                let place = if self.transposed { x * stored_width + y } else { y * stored_width + x };
                upright.extend(&stored[place * channels..(place + 1) * channels]);
            }
        }
        upright
    }
}

/// The value of the orientation's tag in a TIFF block.
fn tag(exif: &[u8]) -> Option<u16> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = match exif.get(..4)? {
        [b'M', b'M', 0, 42] => true,
        [b'I', b'I', 42, 0] => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    };
    let first = long(4)?;
    let entries = (0..usize::from(short(first)?)).map(|entry| first + 2 + 12 * entry);
    entries.into_iter().find(|&at| short(at) == Some(TAG)).and_then(|at| short(at + 8))
}
