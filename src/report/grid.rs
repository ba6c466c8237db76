//! Contact sheets: many small pictures in one PNG, in rows, one grey pixel between neighbours.

use std::path::Path;

use crate::durable;
use crate::error::{Error, Result};

/// A cell is at least this wide, so that a 28×28 digit can be looked at.
const CELL_WIDTH: usize = 56;
/// An example of height 1 is data in a row and no image; it is drawn as a strip this high, so that it can be seen.
const STRIP_HEIGHT: usize = 12;
/// The grey between cells and in cells without a picture: neither the black nor the white of the usual backgrounds.
const SEPARATOR: u8 = 96;
/// Bytes of pixels that a sheet may have: 256 MiB are more than viewers like to open.
const SIZE_CAP: usize = 1 << 28;

/// Draws `images` (n × channels × height × width, row-major, in [0, 1]) into a PNG file, `columns` to a row.
///
/// Values outside the range are drawn as its nearer end, NaN as black. One channel is grey, three are red, green and
/// blue. Small images are enlarged by a whole factor, pixel by pixel.
///
/// # Errors
/// [`Error::Usage`] if the data are no pictures, [`Error::Disk`] if the file cannot be written; then whatever was there
/// before still is. Both name the file.
pub fn save(path: &Path, images: &[f32], shape: [usize; 3], columns: usize) -> Result<()> {
    durable::replace_file(path, &sheet(path, images, shape, columns)?)
}

/// The bytes of the file that [`save`] writes; `path` is what it is called in messages.
///
/// # Errors
/// [`Error::Usage`] if the data are no pictures.
pub fn sheet(path: &Path, images: &[f32], shape: [usize; 3], columns: usize) -> Result<Vec<u8>> {
    let cells = split(path, images, shape)?.into_iter().map(Some).collect();
    draw(path, cells, shape, columns)
}

/// The bytes of a PNG file with such images side by side as they are, neither enlarged nor apart: image n is the cell n % `columns` of
/// the row n / `columns`, and what is left of the last row is grey.
///
/// # Errors
/// As for [`sheet`].
pub fn close(path: &Path, images: &[f32], shape: [usize; 3], columns: usize) -> Result<Vec<u8>> {
    let ([channels, height, width], images) = (shape, split(path, images, shape)?);
    let (color, rows) = (color(path, channels)?, images.len().div_ceil(columns));
    let sheet = Sheet { shape, scale: [1, 1], gap: 0, width: width * columns, height: height * rows };
    let mut pixels = vec![SEPARATOR; sheet.width * sheet.height * channels];
    for (index, image) in images.into_iter().enumerate() {
        sheet.paint(&mut pixels, image, index / columns, index % columns);
    }
    bytes(path, sheet.width, sheet.height, color, &pixels)
}

/// Writes one image (channels × height × width, in [0, 1]) pixel by pixel into a PNG file.
///
/// # Errors
/// As for [`save`].
pub fn single(path: &Path, image: &[f32], shape: [usize; 3]) -> Result<()> {
    let [channels, height, width] = shape;
    let color = color(path, channels)?;
    let pixel = |at: usize| {
        let value = image[at % channels * height * width + at / channels];
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    write(path, width, height, color, &(0..image.len()).map(pixel).collect::<Vec<u8>>())
}

fn color(path: &Path, channels: usize) -> Result<png::ColorType> {
    match channels {
        1 => Ok(png::ColorType::Grayscale),
        3 => Ok(png::ColorType::Rgb),
        _ => {
            let why = format!("pictures have 1 or 3 channels, these data have {channels}");
            Err(Error::Usage(format!("cannot draw {}: {why}", path.display())))
        }
    }
}

/// Draws a row of `originals`, below it their `reconstructions`, then the next row of originals, and so on.
///
/// Both are as in [`save`], and equally many.
///
/// # Errors
/// As for [`save`].
pub fn pairs(path: &Path, originals: &[f32], reconstructed: &[f32], shape: [usize; 3], columns: usize) -> Result<()> {
    durable::replace_file(path, &sheet_of_pairs(path, originals, reconstructed, shape, columns)?)
}

/// The bytes of the file that [`pairs`] writes; `path` is what it is called in messages.
///
/// # Errors
/// As for [`sheet`].
pub fn sheet_of_pairs(
    path: &Path,
    originals: &[f32],
    reconstructed: &[f32],
    shape: [usize; 3],
    columns: usize,
) -> Result<Vec<u8>> {
    let (originals, reconstructed) = (split(path, originals, shape)?, split(path, reconstructed, shape)?);
    if originals.len() != reconstructed.len() {
        let (n, m) = (originals.len(), reconstructed.len());
        return Err(Error::Bug(format!("{}: {n} originals and {m} reconstructions", path.display())));
    }
    let columns = columns.clamp(1, originals.len());
    let mut cells = Vec::new();
    for (above, below) in originals.chunks(columns).zip(reconstructed.chunks(columns)) {
        for row in [above, below] {
            cells.extend((0..columns).map(|column| row.get(column).copied()));
        }
    }
    draw(path, cells, shape, columns)
}

/// Draws cells row by row, `columns` to a row; where there is `None` the cell stays grey.
///
/// # Errors
/// As for [`save`].
pub fn cells(path: &Path, cells: Vec<Option<&[f32]>>, shape: [usize; 3], columns: usize) -> Result<()> {
    durable::replace_file(path, &draw(path, cells, shape, columns)?)
}

/// The single images in a block of them; at least one.
fn split<'a>(path: &Path, images: &'a [f32], shape: [usize; 3]) -> Result<Vec<&'a [f32]>> {
    if images.is_empty() || shape.contains(&0) {
        return Err(Error::Usage(format!("cannot draw {}: there is no image to draw", path.display())));
    }
    match shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)) {
        Some(each) if images.len().is_multiple_of(each) => Ok(images.chunks_exact(each).collect()),
        _ => Err(Error::Bug(format!("{}: {} values are no images of shape {shape:?}", path.display(), images.len()))),
    }
}

/// Draws cells row by row; where there is `None` the cell stays empty.
fn draw(path: &Path, cells: Vec<Option<&[f32]>>, shape: [usize; 3], columns: usize) -> Result<Vec<u8>> {
    let [channels, height, width] = shape;
    let color = color(path, channels)?;
    let columns = columns.clamp(1, cells.len());
    let sheet = Sheet::new(shape, columns, cells.len().div_ceil(columns)).ok_or_else(|| {
        let n = cells.len();
        Error::Usage(format!("cannot draw {}: {n} images of {width}×{height} are too many for one", path.display()))
    })?;
    let mut pixels = vec![SEPARATOR; sheet.width * sheet.height * channels];
    for (index, image) in cells.into_iter().enumerate() {
        if let Some(image) = image {
            sheet.paint(&mut pixels, image, index / columns, index % columns);
        }
    }
    bytes(path, sheet.width, sheet.height, color, &pixels)
}

/// A PNG file of pixels of eight bits a channel.
fn bytes(path: &Path, width: usize, height: usize, color: png::ColorType, pixels: &[u8]) -> Result<Vec<u8>> {
    encode(width, height, color, pixels).map_err(|e| Error::Bug(format!("drawing {}: {e}", path.display())))
}

/// Writes pixels of eight bits a channel into a PNG file.
pub(super) fn write(path: &Path, width: usize, height: usize, color: png::ColorType, pixels: &[u8]) -> Result<()> {
    durable::replace_file(path, &bytes(path, width, height, color, pixels)?)
}

/// The measures of a picture, in pixels.
struct Sheet {
    /// Channels, height and width of one image before it is enlarged.
    shape: [usize; 3],
    /// How often each pixel of an image is repeated downwards and to the right.
    scale: [usize; 2],
    /// Pixels between neighbours.
    gap: usize,
    width: usize,
    height: usize,
}

impl Sheet {
    /// The sheet for a number of columns and rows of cells, unless it would be absurdly large.
    fn new(shape: [usize; 3], columns: usize, rows: usize) -> Option<Self> {
        let [channels, height, width] = shape;
        let right = CELL_WIDTH.div_ceil(width);
        let down = if height == 1 { right.max(STRIP_HEIGHT) } else { right };
        let side = |cells: usize, pixels: usize, scale: usize| {
            pixels.checked_mul(scale)?.checked_add(1)?.checked_mul(cells).map(|with_border| with_border - 1)
        };
        let (sheet_width, sheet_height) = (side(columns, width, right)?, side(rows, height, down)?);
        let size = sheet_width.checked_mul(sheet_height)?.checked_mul(channels)?;
        let sheet = Self { shape, scale: [down, right], gap: 1, width: sheet_width, height: sheet_height };
        (size <= SIZE_CAP).then_some(sheet)
    }

    /// Puts one image into its cell.
    fn paint(&self, pixels: &mut [u8], image: &[f32], row: usize, column: usize) {
        let ([channels, height, width], [down, right]) = (self.shape, self.scale);
        let (top, left) = (row * (height * down + self.gap), column * (width * right + self.gap));
        for y in 0..height * down {
            for x in 0..width * right {
                let pixel = ((top + y) * self.width + left + x) * channels;
                for channel in 0..channels {
                    let value = image[(channel * height + y / down) * width + x / right];
                    pixels[pixel + channel] = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                }
            }
        }
    }
}

fn encode(
    width: usize,
    height: usize,
    color: png::ColorType,
    pixels: &[u8],
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Picture {
        width: usize,
        height: usize,
        channels: usize,
        pixels: Vec<u8>,
    }

    impl Picture {
        fn read(path: &Path) -> Self {
            let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
            let mut reader = png::Decoder::new(file).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            let (width, height) = (info.width as usize, info.height as usize);
            Self { width, height, channels: info.color_type.samples(), pixels }
        }

        fn at(&self, x: usize, y: usize) -> &[u8] {
            let start = (y * self.width + x) * self.channels;
            &self.pixels[start..start + self.channels]
        }
    }

    fn temporary() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        (folder, path)
    }

    #[test]
    fn grey_images_stand_in_rows_with_one_grey_pixel_between_them() {
        let (_folder, path) = temporary();
        // Three images of 2×28 values, the value telling image and column apart.
        let images: Vec<f32> =
            (0..3 * 2 * 28).map(|i| if i % 28 == 27 { 1.0 } else { (i / 56) as f32 * 0.2 }).collect();
        save(&path, &images, [1, 2, 28], 2).unwrap();
        let picture = Picture::read(&path);
        assert_eq!((picture.width, picture.height, picture.channels), (2 * 56 + 1, 2 * 4 + 1, 1));
        for (x, y, grey) in [
            (0, 0, 0),
            (53, 3, 0),
            (54, 0, 255),
            (55, 3, 255),
            (56, 0, SEPARATOR),
            (57, 0, 51),
            (110, 3, 51),
            (111, 3, 255),
            (30, 4, SEPARATOR),
            (0, 5, 102),
            (55, 8, 255),
            (57, 5, SEPARATOR),
            (112, 8, SEPARATOR),
        ] {
            assert_eq!(picture.at(x, y), [grey], "at {x},{y}");
        }
    }

    #[test]
    fn three_channels_become_red_green_and_blue() {
        let (_folder, path) = temporary();
        let plane = |value: f32| vec![value; 64 * 2];
        let images = [plane(1.0), plane(0.5), plane(0.0)].concat();
        save(&path, &images, [3, 2, 64], 8).unwrap();
        let picture = Picture::read(&path);
        assert_eq!((picture.width, picture.height, picture.channels), (64, 2, 3));
        assert!((0..64).all(|x| picture.at(x, 1) == [255, 128, 0]));
    }

    #[test]
    fn values_out_of_range_are_drawn_as_the_nearer_end_and_nan_as_black() {
        let (_folder, path) = temporary();
        save(&path, &[-3.0, 7.0, f32::NAN, f32::INFINITY], [1, 2, 2], 1).unwrap();
        let picture = Picture::read(&path);
        assert_eq!((picture.width, picture.height), (56, 56));
        assert_eq!(
            [picture.at(27, 27), picture.at(28, 27), picture.at(27, 28), picture.at(28, 28)],
            [[0], [255], [0], [255]]
        );
    }

    #[test]
    fn rows_of_originals_alternate_with_rows_of_reconstructions() {
        let (_folder, path) = temporary();
        let images = |values: [f32; 3]| values.map(|v| [v; 56 * 2]).concat();
        pairs(&path, &images([0.0, 0.2, 0.4]), &images([1.0, 0.8, 0.6]), [1, 2, 56], 2).unwrap();
        let picture = Picture::read(&path);
        assert_eq!((picture.width, picture.height), (113, 4 * 3 - 1));
        let cells: Vec<u8> = (0..8).map(|i| picture.at(57 * (i % 2), 3 * (i / 2))[0]).collect();
        assert_eq!(cells, [0, 51, 255, 204, 102, SEPARATOR, 153, SEPARATOR]);
    }

    #[test]
    fn data_in_a_row_are_drawn_as_strips_that_can_be_seen() {
        for (width, size) in [(2, (56, 28)), (30, (60, 12)), (784, (784, 12))] {
            let (_folder, path) = temporary();
            save(&path, &vec![0.5; width], [1, 1, width], 8).unwrap();
            let picture = Picture::read(&path);
            assert_eq!((picture.width, picture.height), size);
            assert!(picture.pixels.iter().all(|&p| p == 128));
        }
    }

    #[test]
    fn what_is_no_picture_is_one_line_that_names_the_file() {
        let (folder, path) = temporary();
        for (values, shape, expected) in [
            (4, [4, 1, 1], Error::Usage("pictures have 1 or 3 channels, these data have 4".into())),
            (0, [1, 2, 2], Error::Usage("there is no image to draw".into())),
            (4, [1, 0, 2], Error::Usage("there is no image to draw".into())),
            (1 << 20, [1, 1 << 20, 1], Error::Usage("1 images of 1×1048576 are too many for one".into())),
            (5, [1, 2, 2], Error::Bug("5 values are no images of shape [1, 2, 2]".into())),
            (5, [3, usize::MAX, 2], Error::Bug("5 values are no images of shape".into())),
        ] {
            let error = save(&path, &vec![0.0; values], shape, 1).unwrap_err();
            assert_eq!(error.exit_code(), expected.exit_code(), "{error}");
            let (Error::Usage(text) | Error::Bug(text)) = expected else { unreachable!() };
            assert!(error.to_string().contains(&text) && error.to_string().contains("grid.png"), "{error}");
        }
        let unequal = pairs(&path, &[0.0; 8], &[0.0; 4], [1, 2, 2], 1).unwrap_err();
        assert!(unequal.to_string().contains("2 originals and 1 reconstructions"), "{unequal}");
        let nowhere = save(&folder.path().join("no/grid.png"), &[0.0], [1, 1, 1], 1).unwrap_err();
        assert!(matches!(&nowhere, Error::Disk(text) if text.contains("grid.png")), "{nowhere}");
        assert!(!path.exists());
    }
}
