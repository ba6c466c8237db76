// The section with what lies between two latents.

import { element } from "./examples.js";
import { latest } from "./explore.js";

// A latent between two others: along the sphere around 0 where the prior is N(0, 1), else straight.
function way(a, b, t, along) {
    const dot = (x, y) => x.reduce((sum, value, at) => sum + value * y[at], 0);
    const angle = Math.acos(Math.min(Math.max(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)), -1), 1));
    const round = along && Math.sin(angle) >= 1e-4;
    const [from, to] = round ? [(1 - t) * angle, t * angle].map((part) => Math.sin(part) / Math.sin(angle)) : [1 - t, t];
    return a.map((value, at) => from * value + to * b[at]);
}

export function between({ model, examples, state }, [a, b]) {
    const place = document.getElementById("between");
    const steps = model.about.sizes.strip;
    let ends = [a, b];
    const paint = latest(async () => {
        const latents = Array.from({ length: steps }, (_, at) => {
            return way(ends[0].z, ends[1].z, at / (steps - 1), model.about.standard);
        });
        const decoded = await model.decode(latents, ends[0].class);
        const take = (at) => state.set(latents[at], ends[0].class);
        place.classList.toggle("rows", !examples.arePictures);
        if (!examples.arePictures) {
            place.replaceChildren(examples.table(decoded, take));
            return;
        }
        place.replaceChildren(...decoded.map((mean, at) => {
            const button = element("button", { type: "button", title: `${at + 1} of ${steps}`, onclick: () => take(at) });
            button.setAttribute("aria-label", `Explore from ${at + 1} of ${steps}`);
            examples.show(button, mean);
            return button;
        }));
    });
    ["keep-a", "keep-b"].forEach((id, end) => {
        document.getElementById(id).addEventListener("click", () => {
            ends = ends.map((kept, at) => (at === end ? { z: state.z.slice(), class: state.class } : kept));
            return paint();
        });
    });
    return paint().then(() => paint);
}
