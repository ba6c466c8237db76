//! `elbo latent`: a map of the latent space.

use super::{classes, files, open, show};
use crate::cli::{LatentArgs, Method};
use crate::config::Prior;
use crate::error::{Error, Result};
use crate::latent::{Pca, pca, plane};
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::report::scatter::{self, Map};
use crate::session::{BATCH, Posterior, Purpose, Session};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Pictures along each side of the manifold.
const SIDE: usize = 20;

/// Points in a plane, and what its axes are.
struct Plane {
    points: Vec<[f32; 2]>,
    title: String,
    axes: [String; 2],
    /// The share of the variance along each axis, where axes are principal components.
    shares: Option<[f64; 2]>,
}

/// Draws the posterior means of examples and, for two latent dimensions, what is decoded all over the plane.
///
/// # Errors
/// Those of [`open::with_data`] and [`open::part`]; [`Error::Usage`] for flags that do not go together, [`Error::Disk`]
/// where a picture cannot be written.
pub fn run(args: &LatentArgs, report: &Report) -> Result<()> {
    let most = args.count.unwrap_or(5000);
    if most == 0 {
        return Err(Error::Usage("-n 0: a map takes at least one example".into()));
    }
    if args.perplexity.is_some() && args.method != Some(Method::Tsne) {
        return Err(Error::Usage("--perplexity belongs to t-SNE: give it with --method tsne".into()));
    }
    let data = args.examples.data.as_deref();
    let mut trained = open::with_data(&args.run, data, Purpose::task(ENCODE, BATCH), report)?;
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::Values], "elbo latent")?;
    let told = classes::typed(session, "--class", args.class.as_deref())?;
    let class = if told.is_empty() { None } else { classes::one(session, "--class", args.class.as_deref())? };
    classes::say_unseen(session, &classes::repeated(class, 1), report);
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let count = most.min(part.len());
    // Spread evenly, so that sorted data show all of their kinds.
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let seed = session.config.train.seed;
    let posterior = session.encode(&shown, seed)?;
    let plane = place(&posterior, args, report)?;
    let labels: Option<Vec<u32>> =
        session.data()?.labels.as_ref().map(|all| shown.iter().map(|&i| all[i as usize]).collect());
    let classes = session.data()?.classes.clone();
    let named = args.out.as_deref().filter(|path| path.extension().is_some());
    named.map_or(Ok(()), |path| files::format("--out ", path, &["png"]).map(drop))?;
    let file = open::picture(&trained, args.out.as_deref(), &format!("latent-step-{}.png", trained.step))?;
    let title = format!("{}: {count} of {name}, {}", trained.session.config.name, plane.title);
    let axes = [plane.axes[0].as_str(), plane.axes[1].as_str()];
    let (labels, classes) = (labels.as_deref(), classes.as_deref());
    scatter::save(&file, &Map { points: &plane.points, labels, classes, title: &title, axes })?;
    let mut made = vec![file];
    match (posterior.latent, class, trained.session.model.classes) {
        // Points of the plane say nothing where the prior is another network's.
        _ if trained.session.model.config.is_deep().is_some() => {}
        (2, ..) if trained.session.model.config.prior != Prior::Standard => {
            report.note("manifold is left out: points that cut the prior into equal shares are known of N(0, 1) alone");
        }
        (2, None, 1..) => report.note("manifold --class says as which class points of the plane are decoded"),
        (2, ..) => made.push(manifold(&mut trained.session, class, &made[0])?),
        _ => {}
    }
    if let Some([first, second]) = plane.shares {
        let [first, second] = [100.0 * first, 100.0 * second];
        report.note(&format!("axes     explain {first:.1} % and {second:.1} % of the variance of the means"));
    }
    report.json(&json!({
        "part": name, "examples": count, "method": plane.title, "variance": plane.shares,
        "labels": legend(labels, classes), "files": made,
    }));
    for path in &made {
        report.result(&path.display().to_string());
    }
    Ok(())
}

/// Brings the means into a plane.
fn place(posterior: &Posterior, args: &LatentArgs, report: &Report) -> Result<Plane> {
    let named = |points, title: &str, axes: [&str; 2]| Plane {
        points,
        title: title.into(),
        axes: axes.map(str::to_owned),
        shares: None,
    };
    let flat = |points: &[f32]| points.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
    let main = |posterior: &Posterior| pca(&posterior.means, posterior.latent);
    match (args.method, posterior.latent) {
        (Some(Method::Tsne), _) => {
            let points = neighbours(posterior, &main(posterior), args.perplexity.unwrap_or(30.0), report)?;
            Ok(named(points, "t-SNE", ["x", "y"]))
        }
        (None, 2) => Ok(named(flat(&posterior.means), "posterior means", ["z0", "z1"])),
        // One dimension would be a line: how sure the encoder is makes it a map.
        (_, 1) => {
            let deviations = posterior.deviations();
            let points = posterior.means.iter().zip(deviations).map(|(&mean, deviation)| [mean, deviation]).collect();
            Ok(named(points, "mean and deviation", ["mean", "deviation"]))
        }
        _ => {
            let Pca { points, shares } = main(posterior);
            Ok(Plane { shares: Some(shares), ..named(points, "PCA", ["PC1", "PC2"]) })
        }
    }
}

#[cfg(feature = "tsne")]
fn neighbours(posterior: &Posterior, start: &Pca, perplexity: f32, report: &Report) -> Result<Vec<[f32; 2]>> {
    let begun = std::time::Instant::now();
    report.begin("t-SNE", crate::latent::EPOCHS);
    let rows = posterior.len() as f64;
    let mut done = |epoch: usize| report.step(epoch, None, epoch as f64 * rows / begun.elapsed().as_secs_f64());
    let placed = crate::latent::tsne(&posterior.means, posterior.latent, &start.points, perplexity, &mut done);
    report.clear();
    placed
}

#[cfg(not(feature = "tsne"))]
fn neighbours(_: &Posterior, _: &Pca, _: f32, _: &Report) -> Result<Vec<[f32; 2]>> {
    Err(Error::Usage("--method tsne: this elbo was built without the feature `tsne`; take --method pca".into()))
}

/// What is decoded at points that cut the prior into equal shares.
fn manifold(session: &mut Session, class: Option<u32>, map: &Path) -> Result<PathBuf> {
    let stem = map.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path = map.with_file_name(format!("{stem}-manifold.{}", show::extension(&session.record)));
    let means = session.decode(&plane(SIDE), &classes::repeated(class, SIDE * SIDE))?;
    show::save(&path, &means, &session.record, SIDE)?;
    Ok(path)
}

/// Labels with their colours and how many examples have them.
fn legend(labels: Option<&[u32]>, classes: Option<&[String]>) -> Value {
    let Some(labels) = labels else { return Value::Null };
    let entry = |(rank, label): (usize, &u32)| {
        let examples = labels.iter().filter(|l| *l == label).count();
        json!({ "label": scatter::name(*label, classes), "colour": scatter::hex(scatter::colour(rank)), "examples": examples })
    };
    scatter::ranks(labels).iter().enumerate().map(entry).collect()
}
