//! From the bytes of an image file to numbers from 0 to 1. Its first bytes, not its name, say which format it has.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::orientation::Orientation;

/// The most pixels that an image may claim to have: 134 million, more than the pictures of large cameras have.
const MAX_PIXELS: u64 = 1 << 27;

/// The weights of red, green and blue in grey (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What can be wrong with a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// What is known of an image before it is decoded, as it is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether it is stored with colours.
    pub colour: bool,
    /// Whether samples have 16 bits.
    pub deep: bool,
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples of a pixel: grey; grey and alpha; red, green, blue; or these and alpha.
    channels: usize,
    /// height × width × channels.
    samples: Samples,
}

/// Numbers as they are stored, which takes less room than what they stand for.
#[derive(Debug, Clone, PartialEq)]
enum Samples {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
}

impl Samples {
    /// A sample, from 0 to 1.
    fn at(&self, index: usize) -> f32 {
        match self {
            Self::Bytes(bytes) => f32::from(bytes[index]) / 255.0,
            Self::Words(words) => f32::from(words[index]) / 65535.0,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Words(words) => words.len(),
        }
    }
}

impl Header {
    /// Bytes that the image may take while it is decoded: its samples with alpha, once more while it is put upright, and a
    /// plane in single precision.
    pub fn bytes(&self) -> u64 {
        let samples = (if self.colour { 4 } else { 2 }) * if self.deep { 2 } else { 1 };
        (self.width as u64 * self.height as u64).saturating_mul(2 * samples + 4)
    }
}

/// The two formats.
enum Decoder {
    Png(Box<png::Reader<BufReader<File>>>),
    Jpeg(Box<JpegDecoder<BufReader<File>>>, Orientation),
}

/// Reads what comes before the pixels.
pub fn header(path: &Path) -> Decoded<Header> {
    open(path).map(|(header, _)| header)
}

/// Reads the whole image.
pub fn picture(path: &Path) -> Decoded<Picture> {
    let (header, decoder) = open(path)?;
    let damaged = |error: &dyn std::fmt::Display| format!("the image is damaged or truncated: {error}");
    match decoder {
        Decoder::Png(mut reader) => {
            let size = reader.output_buffer_size().ok_or("the image is too large")?;
            let mut bytes = vec![0; size];
            let frame = reader.next_frame(&mut bytes).map_err(|error| damaged(&error))?;
            reader.finish().map_err(|error| damaged(&error))?;
            bytes.truncate(frame.buffer_size());
            let samples = match frame.bit_depth {
                png::BitDepth::Sixteen => {
                    Samples::Words(bytes.as_chunks().0.iter().map(|&word| u16::from_be_bytes(word)).collect())
                }
                _ => Samples::Bytes(bytes),
            };
            let channels = frame.color_type.samples();
            Ok(Picture { width: header.width, height: header.height, channels, samples })
        }
        Decoder::Jpeg(mut decoder, orientation) => {
            // The decoder fills up with grey what is not there.
            if !is_whole(&fs::read(path).map_err(|error| format!("cannot be read: {error}"))?) {
                return Err(damaged(&"its data end too early"));
            }
            let bytes = decoder.decode().map_err(|error| damaged(&error))?;
            let channels = if header.colour { 3 } else { 1 };
            let samples = Samples::Bytes(orientation.upright([header.width, header.height], channels, &bytes));
            Ok(Picture { width: header.width, height: header.height, channels, samples })
        }
    }
}

/// Opens a file up to its pixels.
fn open(path: &Path) -> Decoded<(Header, Decoder)> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let start = file.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    let (header, decoder) = match start {
        [] => return Err("the file is empty".into()),
        [0x89, b'P', b'N', b'G', ..] => open_png(file)?,
        [0xff, 0xd8, ..] => open_jpeg(file)?,
        _ => return Err("this is neither a PNG nor a JPEG image".into()),
    };
    let pixels = header.width as u64 * header.height as u64;
    if pixels > MAX_PIXELS || pixels == 0 {
        let Header { width, height, .. } = header;
        return Err(format!("it claims to have {width}x{height} pixels; allowed are 1 to {MAX_PIXELS}"));
    }
    Ok((header, decoder))
}

fn open_png(file: BufReader<File>) -> Decoded<(Header, Decoder)> {
    let damaged = |error: png::DecodingError| format!("the header is damaged: {error}");
    let mut decoder = png::Decoder::new(file);
    // Neither texts nor colour profiles are needed, and both may be bombs.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (colour, depth) = reader.output_color_type();
    let header = Header {
        width: info.width as usize,
        height: info.height as usize,
        colour: matches!(colour, ColorType::Rgb | ColorType::Rgba),
        deep: depth == png::BitDepth::Sixteen,
    };
    Ok((header, Decoder::Png(Box::new(reader))))
}

fn open_jpeg(file: BufReader<File>) -> Decoded<(Header, Decoder)> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(file, options);
    decoder.decode_headers().map_err(|error| format!("the header is damaged: {error}"))?;
    let info = decoder.info().ok_or("the header is damaged")?;
    let colour = info.components > 1;
    decoder.set_options(options.jpeg_set_out_colorspace(if colour { ColorSpace::RGB } else { ColorSpace::Luma }));
    let orientation = Orientation::of(decoder.exif().map_or(&[], Vec::as_slice));
    let [width, height] = orientation.size([info.width.into(), info.height.into()]);
    Ok((Header { width, height, colour, deep: false }, Decoder::Jpeg(Box::new(decoder), orientation)))
}

/// Whether the segments of a JPEG file lead to the marker of its end (ITU-T T.81, annex B).
fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        at += match marker {
            0xd9 => return true,
            0xff => 1,
            0x01 | 0xd0..=0xd7 => 2,
            _ => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        };
        if marker == 0xda {
            // The image's own data follow, in which FF stands for itself before 0, and before markers of restarts.
            let pairs = bytes.get(at..).unwrap_or_default().windows(2);
            let mut ends = pairs.map(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
            at += ends.position(|end| end).unwrap_or(bytes.len());
        }
    }
    false
}

impl Picture {
    /// Whether something could be seen through it.
    pub fn is_transparent(&self) -> bool {
        let alpha = self.channels.is_multiple_of(2);
        let pixels = self.samples.len() / self.channels;
        alpha && (1..=pixels).any(|end| self.samples.at(end * self.channels - 1) < 1.0)
    }

    /// One of 1 or 3 planes of pixels, with the grey `behind` where it is transparent.
    pub fn plane(&self, plane: usize, channels: usize, behind: f32) -> Vec<f32> {
        let solid = self.channels - usize::from(self.channels.is_multiple_of(2));
        let sample = |pixel: usize, at: usize| {
            let place = pixel * self.channels;
            let alpha = if solid < self.channels { self.samples.at(place + solid) } else { 1.0 };
            alpha * self.samples.at(place + at) + (1.0 - alpha) * behind
        };
        let value = |pixel: usize, plane: usize| match (solid, channels) {
            (1, _) => sample(pixel, 0),
            (_, 1) => (0..3).map(|at| LUMA[at] * sample(pixel, at)).sum(),
            _ => sample(pixel, plane),
        };
        (0..self.samples.len() / self.channels).map(|pixel| value(pixel, plane)).collect()
    }
}
