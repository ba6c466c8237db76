// The section with samples of the prior.

import { element } from "./examples.js";

const COLUMNS = 8;

export function samples({ model, examples, state }) {
    const [seed, place, chosen] = ["seed", "samples", "class"].map((id) => document.getElementById(id));
    const { classes } = model.about;
    seed.value = model.about.seed;
    if (classes.length > 0) {
        const each = classes.map((name, at) => element("option", { value: at, textContent: name }));
        chosen.append(element("option", { value: "all", textContent: "each in turn" }), ...each);
    }
    let [all, at] = [[], 0];
    const take = (number) => state.set(all[number].z, all[number].class);

    const canvas = element("canvas", { className: "grid", tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Samples: arrow keys choose one, Enter takes it");
    const paint = () => {
        examples.tiles(canvas, all.map(({ mean }) => mean), COLUMNS);
        const [, height, width] = examples.shape;
        const context = canvas.getContext("2d");
        context.strokeStyle = "#e8812b";
        context.strokeRect(at % COLUMNS * width + 0.5, Math.floor(at / COLUMNS) * height + 0.5, width - 1, height - 1);
    };
    const choose = (number) => {
        at = (number + all.length) % all.length;
        paint();
    };
    canvas.addEventListener("click", ({ offsetX, offsetY }) => {
        const [column, row] = [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight];
        choose(Math.floor(column * COLUMNS) + COLUMNS * Math.floor(row * all.length / COLUMNS));
        take(at);
    });
    canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -COLUMNS, ArrowDown: COLUMNS }[event.key];
        if (step) {
            choose(at + step);
        } else if (event.key === "Enter" || event.key === " ") {
            take(at);
        } else {
            return;
        }
        event.preventDefault();
    });

    const draw = async () => {
        const asked = Math.min(Math.max(Math.floor(Number(seed.value)) || 0, 0), Number.MAX_SAFE_INTEGER);
        const told = classes.length > 0 && chosen.value !== "all" ? [Number(chosen.value)] : undefined;
        all = await model.sample(asked, told);
        if (examples.arePictures) {
            place.replaceChildren(canvas);
            paint();
        } else {
            place.replaceChildren(examples.table(all.map(({ mean }) => mean), take));
        }
        place.dataset.seed = asked;
    };
    seed.addEventListener("change", draw);
    chosen.addEventListener("change", draw);
    document.getElementById("reseed").addEventListener("click", () => {
        seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
        return draw();
    });
    return draw().then(() => ({ drawn: all, draw }));
}
