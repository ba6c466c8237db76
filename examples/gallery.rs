//! One picture of several models: `cargo run --release --example gallery -- OUT.png FOLDER...`, where each FOLDER, whose
//! name becomes a title, holds the `samples.png` of `elbo sample RUN -n 16` and the `reconstructions.png` of `elbo
//! reconstruct RUN -n 8`. `scripts/gallery.sh` trains the models and calls this.

use elbo::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

/// Tiles side by side.
const ACROSS: usize = 2;
/// Pixels between things.
const GAP: usize = 12;
/// Height of a title's letters, which are eight pixels drawn at twice the size.
const LETTER: usize = 16;
const PAPER: [u8; 3] = [255; 3];
const INK: [u8; 3] = [48; 3];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (out, folders) = (arguments.next(), arguments.collect::<Vec<_>>());
    match out {
        Some(out) if !folders.is_empty() => draw(&out, &folders),
        _ => Err(Error::Usage("usage: gallery OUT.png FOLDER...".into())),
    }
}

/// Red, green and blue of each pixel, row by row.
struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

/// Draws a tile for each folder: its name, the samples on the left, the reconstructions on the right.
pub fn draw(out: &Path, folders: &[PathBuf]) -> Result<()> {
    let tiles = folders.iter().map(|folder| tile(folder)).collect::<Result<Vec<_>>>()?;
    let rows = || tiles.chunks(ACROSS);
    let width = rows().map(|row| row.iter().map(|tile| tile.width).sum()).max().unwrap_or(0);
    let height = rows().map(|row| row.iter().map(Picture::height).max().unwrap_or(0)).sum();
    let mut all = Picture::empty(width, height);
    let mut top = 0;
    for row in rows() {
        let mut left = 0;
        for tile in row {
            all.put(left, top, tile);
            left += tile.width;
        }
        top += row.iter().map(Picture::height).max().unwrap_or(0);
    }
    all.write(out)
}

fn tile(folder: &Path) -> Result<Picture> {
    let [samples, again] = ["samples.png", "reconstructions.png"].map(|name| Picture::read(&folder.join(name)));
    let (samples, again) = (samples?, again?);
    let title = folder.file_name().unwrap_or_default().to_string_lossy();
    let below = GAP + LETTER + GAP / 2;
    let width = GAP + samples.width + GAP + again.width + GAP;
    let mut tile = Picture::empty(width, below + samples.height().max(again.height()) + GAP);
    tile.text(GAP, GAP, &title);
    tile.put(GAP, below, &samples);
    tile.put(GAP + samples.width + GAP, below, &again);
    Ok(tile)
}

impl Picture {
    fn empty(width: usize, height: usize) -> Self {
        Self { width, pixels: vec![PAPER; width * height] }
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width.max(1)
    }

    /// Reads a PNG file of eight bits, grey or coloured.
    fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
        let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info().map_err(|e| wrong(e.to_string()))?;
        let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
        let info = reader.next_frame(&mut bytes).map_err(|e| wrong(e.to_string()))?;
        let pixels = match (info.bit_depth, info.color_type) {
            (png::BitDepth::Eight, png::ColorType::Grayscale) => bytes.iter().map(|&grey| [grey; 3]).collect(),
            (png::BitDepth::Eight, png::ColorType::Rgb) => {
                bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
            }
            (_, other) => return Err(wrong(format!("expected 8-bit grey or colour, not {other:?}"))),
        };
        Ok(Self { width: info.width as usize, pixels })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let wrong = |why: String| Error::Disk(format!("{}: {why}", path.display()));
        let file = BufWriter::new(File::create(path).map_err(|e| wrong(e.to_string()))?);
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height() as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(|e| wrong(e.to_string()))?;
        writer.write_image_data(self.pixels.as_flattened()).map_err(|e| wrong(e.to_string()))?;
        writer.finish().map_err(|e| wrong(e.to_string()))
    }

    fn put(&mut self, left: usize, top: usize, other: &Self) {
        for (y, row) in other.pixels.chunks_exact(other.width).enumerate() {
            let at = (top + y) * self.width + left;
            self.pixels[at..at + row.len()].copy_from_slice(row);
        }
    }

    /// A line of text; letters that the font lacks, or that lie outside, are left out.
    fn text(&mut self, left: usize, top: usize, text: &str) {
        for (at, letter) in text.chars().enumerate() {
            let Some(shape) = font8x8::legacy::BASIC_LEGACY.get(letter as usize) else { continue };
            for (y, x) in (0..LETTER).flat_map(|y| (0..LETTER).map(move |x| (y, x))) {
                let column = left + LETTER * at + x;
                if shape[y / 2] >> (x / 2) & 1 == 1 && column < self.width {
                    self.pixels[(top + y) * self.width + column] = INK;
                }
            }
        }
    }
}
