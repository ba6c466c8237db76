//! What a file is that no reader takes, by its first bytes, and how it becomes one that a reader takes.

/// Bytes that are looked at.
pub const START: u64 = 512;

/// How files of tables begin that a build with the feature `parquet` reads.
const STORED: [&[u8]; 2] = [b"PAR1", b"ARROW1"];

/// How tensors of PyTorch become an array.
const TORCH: &str = "numpy.save(\"x.npy\", torch.load(PATH).numpy()), of a dict torch.load(PATH)[NAME].numpy()";

/// How a kind of file begins, what it is, and what to do with it.
const KINDS: [(&[u8], &str, &str); 33] = [
    (b"PAR1", "a Parquet file", "pandas.read_parquet(PATH).to_csv(\"table.csv\", index=False)"),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file",
        "numpy.save(\"x.npy\", h5py.File(PATH)[NAME][:]), of a pandas frame pandas.read_hdf(PATH).to_csv(\"table.csv\", index=False)",
    ),
    (b"ARROW1", "an Arrow file", "pandas.read_feather(PATH).to_csv(\"table.csv\", index=False)"),
    (
        b"\xff\xff\xff\xff",
        "an Arrow stream",
        "pyarrow.ipc.open_stream(PATH).read_pandas().to_csv(\"table.csv\", index=False)",
    ),
    (b"FEA1", "a Feather file of version 1", "pandas.read_feather(PATH).to_csv(\"table.csv\", index=False)"),
    (b"MATLAB 7.3", "a MATLAB file of version 7.3", "numpy.save(\"x.npy\", h5py.File(PATH)[NAME][:].T)"),
    (b"MATLAB", "a MATLAB file", "numpy.save(\"x.npy\", scipy.io.loadmat(PATH)[NAME])"),
    // The number that `torch.save` began with before version 1.6 wrote archives.
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a file of torch.save", TORCH),
    (b"\x80\x02", "a pickle", PICKLE),
    (b"\x80\x03", "a pickle", PICKLE),
    (b"\x80\x04", "a pickle", PICKLE),
    (b"\x80\x05", "a pickle", PICKLE),
    (b"SQLite format 3", "an SQLite database", "sqlite3 -header -csv PATH \"select ...\" > table.csv"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unzstd PATH"),
    (b"BZh", "compressed by bzip2", "bunzip2 PATH"),
    (b"\xfd7zXZ\0", "compressed by xz", "unxz PATH"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"GIF8", "a GIF image", "a folder of .png or .jpg images is read"),
    (b"BM", "a BMP image", "a folder of .png or .jpg images is read"),
    (b"II*\0", "a TIFF image", "a folder of .png or .jpg images is read"),
    (b"MM\0*", "a TIFF image", "a folder of .png or .jpg images is read"),
    (b"RIFF", "a RIFF file (WAV, AVI or WebP)", "arrays are read from .npy"),
    (b"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 PATH > table.csv"),
    (b"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 PATH > table.csv"),
    (b"%PDF", "a PDF document", "a table is read from .csv"),
    (b"ORC", "an ORC file", "pandas.read_orc(PATH).to_csv(\"table.csv\", index=False)"),
    (b"<stata_dta>", "a Stata file", STATA),
    (b"r\x02\x01\0", "a Stata file", STATA),
    (b"s\x02\x01\0", "a Stata file", STATA),
    (b"$FL2", "an SPSS file", "pandas.read_spss(PATH).to_csv(\"table.csv\", index=False)"),
    (b"RDX", "an R data file", "write.csv(x, \"table.csv\", row.names = FALSE)"),
];

/// How a Stata file becomes a table.
const STATA: &str = "pandas.read_stata(PATH).to_csv(\"table.csv\", index=False)";

/// How a pickle becomes an array or a table.
const PICKLE: &str = "numpy.save(\"x.npy\", pickle.load(open(PATH, \"rb\"))), of a pandas frame \
                      pandas.read_pickle(PATH).to_csv(\"table.csv\", index=False)";

/// What is said of a file that is called so: its first bytes are those of any HDF5 file.
#[cfg(not(feature = "h5ad"))]
pub const ANNDATA: &str = "this is an AnnData file, which this build does not read; build elbo with `--features h5ad`, or make it an \
                           .mtx: scipy.io.mmwrite(\"x.mtx\", scipy.sparse.coo_matrix(anndata.read_h5ad(PATH).X))";

/// Whether a file that begins like this is a table that this build reads.
pub fn is_stored(start: &[u8]) -> bool {
    cfg!(feature = "parquet") && STORED.iter().any(|magic| start.starts_with(magic))
}

/// What a file is that begins like this, and how it becomes what is read; nothing where it may be a file of a kind that is
/// read.
pub fn told(start: &[u8]) -> Option<String> {
    let (magic, what, how) = KINDS.iter().find(|(magic, ..)| start.starts_with(magic))?;
    // A column may be called BMI, and the others may have letters beyond ASCII in any encoding.
    let plain = start.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace());
    let is_text = text(start).is_some() || (plain && magic.iter().all(u8::is_ascii_alphanumeric));
    if is_text || is_stored(start) {
        return None;
    }
    let built = if STORED.contains(magic) { " (or build elbo with `--features parquet`, which reads it)" } else { "" };
    Some(format!("this is {what}, which is not read; make it one of .csv, .npy or .npz: {how}{built}"))
}

/// What an archive is that has an entry of this name, and is none of arrays.
pub fn archive(name: &str) -> Option<String> {
    let (what, how) = match name {
        "[Content_Types].xml" => ("a workbook or a document of an office program", "save the sheet as CSV"),
        name if name.ends_with("data.pkl") => ("a file of torch.save", TORCH),
        name if [".csv", ".png", ".jpg"].iter().any(|end| name.to_ascii_lowercase().ends_with(end)) => {
            ("a ZIP archive", "unpack it")
        }
        _ => return None,
    };
    Some(format!("this is {what}, and no archive of arrays: {how}"))
}

/// The advice for text that has no name of a table.
pub fn text(start: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(start).or_else(|error| std::str::from_utf8(&start[..error.valid_up_to()])).ok()?;
    let is_text =
        text.len() + 4 > start.len() && !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    is_text
        .then_some("this is text: a table is read from a file that ends in .csv or .tsv, with a line of column names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_are_told_by_their_first_bytes() {
        for (start, words) in [
            (&b"FEA1\0\0"[..], "this is a Feather file of version 1, which is not read; make it one of .csv"),
            (b"\x89HDF\r\n\x1a\n\0", "h5py.File(PATH)"),
            (b"\x80\x04\x95", "a pickle"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M", "torch.load(PATH)"),
            (b"MATLAB 7.3 MAT-file\0\x02IM", "h5py.File(PATH)[NAME][:].T"),
            (b"MATLAB 5.0 MAT-file\0\x01IM", "scipy.io.loadmat"),
            (b"\xff\xfea\0", "UTF-16"),
            (b"\xff\xff\xff\xff\x08\x02\0\0", "pyarrow.ipc.open_stream(PATH)"),
            (b"ORC\x08\x03\x10", "pandas.read_orc(PATH)"),
            (b"r\x02\x01\0\x04\0", "pandas.read_stata(PATH)"),
            (b"\x28\xb5\x2f\xfd\x24", "compressed by zstd"),
        ] {
            assert!(told(start).is_some_and(|told| told.contains(words)), "{words}");
        }
        for start in [&b"PAR1\x15\x04"[..], b"ARROW1\0\0"] {
            let told = told(start).unwrap_or_default();
            assert_eq!((told.is_empty(), is_stored(start)), (cfg!(feature = "parquet"), cfg!(feature = "parquet")));
            assert!(told.is_empty() || told.contains("build elbo with `--features parquet`"), "{told}");
        }
        for start in [
            &b"ORC,age\n1,2"[..],
            b"BMI,age\n1,2",
            b"BMI;Gr\xf6\xdfe\n1;2\n",
            b"\0\0\x08\x03",
            b"a,b\n1,2",
            b"",
            b"\x1f\x8b",
            b"PK\x03\x04",
            b"\x93NUMPY",
        ] {
            assert_eq!(told(start), None);
        }
        assert!(archive("x/data.pkl").is_some_and(|told| told.contains("torch.load")));
        assert_eq!((archive("x.npy"), archive("readme.txt")), (None, None));
        assert_eq!((text(b"1 2 3\n4 5 6\n").is_some(), text(b"\0\0\x08\x03"), text(b"")), (true, None, None));
    }
}
