//! Write the data of the tutorials under `docs/`: `cargo run --release --example tutorial_data -- FOLDER`.
//!
//! FOLDER gets `digits/` (600 pictures of two sizes, a folder for each digit), `patients.csv` and `new.csv` (columns of
//! several types, a tenth of the cells empty, in the second some rows that do not go together), `sensors.npz`, `colours/`
//! (900 pictures in colour), `cells.npy` (counts of genes) and `genotypes.npy` (categories). All of it is invented, and the same at every call.

use elbo::data::glyphs;
use elbo::error::{Error, Result};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const PICTURES: usize = 600;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::Usage("usage: tutorial_data FOLDER".into()))?;
    write(&folder).map_err(|e| Error::Disk(format!("{}: {e}", folder.display())))
}

/// Writes everything into a folder, which is made if it is not there.
pub fn write(folder: &Path) -> io::Result<()> {
    pictures(&folder.join("digits"))?;
    fs::write(folder.join("patients.csv"), patients(1000, 1, false))?;
    fs::write(folder.join("new.csv"), patients(200, 2, true))?;
    sensors(&folder.join("sensors.npz"))?;
    colours(&folder.join("colours"))?;
    cells(&folder.join("cells.npy"))?;
    genotypes(&folder.join("genotypes.npy"))
}

/// Grey pictures, every third of which has a black margin on the left and on the right.
fn pictures(folder: &Path) -> io::Result<()> {
    let (pixels, labels) = glyphs::draw(glyphs::SEED, PICTURES);
    for (at, (glyph, label)) in pixels.chunks_exact(glyphs::SIDE * glyphs::SIDE).zip(labels).enumerate() {
        let margin = if at % 3 == 0 { 4 } else { 0 };
        let width = glyphs::SIDE + 2 * margin;
        let mut picture = vec![0; width * glyphs::SIDE];
        for (line, row) in picture.chunks_exact_mut(width).zip(glyph.chunks_exact(glyphs::SIDE)) {
            line[margin..margin + glyphs::SIDE].copy_from_slice(row);
        }
        let class = folder.join(label.to_string());
        fs::create_dir_all(&class)?;
        let file = File::create(class.join(format!("{at:04}.png")))?;
        let mut encoder = png::Encoder::new(file, width as u32, glyphs::SIDE as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header()?.write_image_data(&picture)?;
    }
    Ok(())
}

/// Digits of one colour before others that run from the top to the bottom, with the noise of a camera.
fn colours(folder: &Path) -> io::Result<()> {
    const COLOURED: usize = 900;
    let (pixels, _) = glyphs::draw(glyphs::SEED, COLOURED);
    let mut rng = Philox::new(5, Stream::Choice, 0, 0);
    fs::create_dir_all(folder)?;
    for (at, glyph) in pixels.chunks_exact(glyphs::SIDE * glyphs::SIDE).enumerate() {
        let mut colour = || [(); 3].map(|()| rng.uniform());
        let [digit, top, bottom] = [colour(), colour(), colour()];
        let mut picture = Vec::with_capacity(3 * glyph.len());
        for (place, &ink) in glyph.iter().enumerate() {
            let down = (place / glyphs::SIDE) as f32 / (glyphs::SIDE - 1) as f32;
            let ink = f32::from(ink) / 255.0;
            for channel in 0..3 {
                let behind = top[channel] + down * (bottom[channel] - top[channel]);
                let shown = 20.0 + 215.0 * (behind + ink * (digit[channel] - behind)) + 3.0 * rng.normal();
                picture.push(shown.round().clamp(0.0, 255.0) as u8);
            }
        }
        let file = File::create(folder.join(format!("{at:04}.png")))?;
        let mut encoder = png::Encoder::new(file, glyphs::SIDE as u32, glyphs::SIDE as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(&picture)?;
    }
    Ok(())
}

/// How often each of sixty genes was read in each of a thousand cells of three kinds and many sizes; NaN where a reading
/// failed. Most numbers are 0, and the others vary more than Poisson's would.
fn cells(path: &Path) -> io::Result<()> {
    const CELLS: usize = 1000;
    const GENES: usize = 60;
    let mut rng = Philox::new(6, Stream::Choice, 0, 0);
    let mut all = Vec::with_capacity(CELLS * GENES);
    for cell in 0..CELLS {
        let size = (0.5 * rng.normal()).exp();
        for gene in 0..GENES {
            let mean = size * if gene % 3 == cell % 3 { 4.0 } else { 0.4 };
            // A rate with a deviation as large as its mean, and a draw from Poisson's distribution with that rate.
            let rate = -mean * rng.uniform().max(1e-6).ln();
            let (mut count, mut product) = (0, rng.uniform());
            while product > (-rate).exp() && count < 1000 {
                (count, product) = (count + 1, product * rng.uniform());
            }
            all.push(if rng.uniform() < 0.01 { f32::NAN } else { count as f32 });
        }
    }
    npy::save(path, &all, &[CELLS, GENES]).map_err(io::Error::other)
}

/// Copies of the second of two letters, 0, 1 or 2, at forty places of the genome of a thousand people from three places, each with
/// frequencies of its own; NaN where none could be read.
fn genotypes(path: &Path) -> io::Result<()> {
    const PEOPLE: usize = 1000;
    const SITES: usize = 40;
    let mut rng = Philox::new(7, Stream::Choice, 0, 0);
    let frequencies: Vec<[f32; 3]> = (0..SITES).map(|_| [(); 3].map(|()| rng.uniform())).collect();
    let mut all = Vec::with_capacity(PEOPLE * SITES);
    for person in 0..PEOPLE {
        for of in &frequencies {
            let copies = [(); 2].map(|()| f32::from(rng.uniform() < of[person % 3]));
            all.push(if rng.uniform() < 0.02 { f32::NAN } else { copies[0] + copies[1] });
        }
    }
    npy::save(path, &all, &[PEOPLE, SITES]).map_err(io::Error::other)
}

/// Patients whose columns depend on how ill they are. Of `odd` tables every tenth row is put together from two patients,
/// and a last column says so.
fn patients(rows: usize, seed: u64, odd: bool) -> String {
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let mut text = String::from("number,age,pressure,smoker,ward,stage,visits");
    text += if odd { ",mixed\n" } else { "\n" };
    for row in 0..rows {
        let mixed = odd && row % 10 == 0;
        let illness = rng.normal();
        let other = if mixed { rng.normal() } else { illness };
        let cells = [
            format!("{:.1}", 50.0 + 12.0 * illness + 2.0 * rng.normal()),
            format!("{:.0}", 125.0 + 15.0 * other + 3.0 * rng.normal()),
            if illness + 0.5 * rng.normal() > 0.0 { "yes" } else { "no" }.to_owned(),
            ["surgery", "medicine", "heart"][level(other, &[-0.5, 0.5])].to_owned(),
            (1 + level(illness, &[-0.7, 0.0, 0.7])).to_string(),
            format!("{:.0}", 3.0 * (1.0 + other + 0.3 * rng.normal()).max(0.0)),
        ];
        let cells = cells.map(|cell| if rng.uniform() < 0.1 { String::new() } else { cell });
        let _ = write!(text, "{},{}", seed as usize * 10_000 + row, cells.join(","));
        text += match (odd, mixed) {
            (false, _) => "\n",
            (true, false) => ",0\n",
            (true, true) => ",1\n",
        };
    }
    text
}

/// How many bounds a number is above.
fn level(number: f32, bounds: &[f32]) -> usize {
    bounds.iter().filter(|&&bound| number > bound).count()
}

/// Six sensors that follow two hidden numbers, a few readings missing; `y` is 1 where a sensor went its own way.
fn sensors(path: &Path) -> io::Result<()> {
    const ROWS: usize = 800;
    const SENSORS: usize = 6;
    let mut rng = Philox::new(3, Stream::Choice, 0, 0);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let [a, b] = [rng.normal(), rng.normal()];
        let clean = [a, b, a + b, a - b, a * b, (2.0 * a).sin()];
        let mut readings: [f32; SENSORS] = std::array::from_fn(|at| 20.0 + 4.0 * clean[at] + 0.4 * rng.normal());
        let faulty = row % 20 == 7;
        if faulty {
            readings[row % SENSORS] += 14.0;
        }
        let holed = readings.map(|reading| if rng.uniform() < 0.02 { f32::NAN } else { reading });
        x.extend(holed);
        y.push(f32::from(faulty));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut archive = ZipWriter::new(File::create(path)?);
    for (name, values, shape) in [("X.npy", &x, &[ROWS, SENSORS][..]), ("y.npy", &y, &[ROWS])] {
        let single = folder.join(name);
        npy::save(&single, values, shape).map_err(io::Error::other)?;
        archive.start_file(name, SimpleFileOptions::default())?;
        archive.write_all(&fs::read(&single)?)?;
        fs::remove_file(single)?;
    }
    archive.finish()?;
    Ok(())
}
