// The page: opens the model and hands it to the sections.

import { between } from "./between.js";
import { card } from "./card.js";
import { Examples } from "./examples.js";
import { explore } from "./explore.js";
import { Model } from "./model.js";
import { own } from "./own.js";
import { samples } from "./samples.js";
import { train } from "./train.js";

// A file of this folder.
async function file(name) {
    const answer = await fetch(name);
    if (!answer.ok) {
        throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
    }
    return answer;
}

const get = {
    json: async (name) => (await file(name)).json(),
    bytes: async (name) => (await file(name)).arrayBuffer(),
};

/** The latent that all sections speak of, and its class. */
class State {
    #watchers = [];

    constructor({ standard, latent, dimensions }) {
        this.start = new Float32Array(latent);
        dimensions.forEach(({ index, mean }) => {
            this.start[index] = standard ? 0 : mean;
        });
        [this.z, this.class] = [this.start.slice(), 0];
    }

    /** Calls with the dimensions that moved, as [index, value], or with nothing where all of it is new. */
    watch(of) {
        this.#watchers.push(of);
    }

    set(z, label) {
        [this.z, this.class] = [z.slice(), label];
        this.#watchers.forEach((of) => of(null));
    }

    moved(moves) {
        const z = this.z.slice();
        moves.forEach(([index, value]) => {
            z[index] = value;
        });
        return z;
    }

    move(moves) {
        this.z = this.moved(moves);
        this.#watchers.forEach((of) => of(moves));
    }
}

function describe({ about, executor, why }, plain) {
    document.title = `${about.name} (elbo)`;
    document.getElementById("title").textContent = about.name;
    const likelihood = `${about.likelihood} decoder`;
    document.getElementById("about").textContent =
        `A variational autoencoder of ${about.latent} latent dimensions with a ${likelihood}, ${about.epoch > 0 ? "trained on" : "made for"} ${about.data}. `
        + "Nothing that you draw or load leaves this page.";
    document.getElementById("engine").textContent = `Computed by ${executor.name}${why ? ` (${why})` : ""}.`;
    document.getElementById("program").textContent = about.program;
    const other = document.getElementById("other");
    Object.assign(other, { hidden: false, href: plain ? "?" : "?plain", textContent: plain ? "Try WebGPU" : "Compute without WebGPU" });
}

async function start() {
    const plain = new URLSearchParams(location.search).has("plain");
    const model = await Model.open(get, { webgpu: !plain });
    model.why ||= plain ? "as asked" : "";
    const page = { model, examples: new Examples(model.about), state: new State(model.about) };
    describe(model, plain);
    model.changed = () => describe(model, true);
    document.getElementById("main").hidden = false;
    const { drawn, draw } = await samples(page);
    explore(page);
    const { put, again } = own(page);
    page.state.set(drawn[0].z, drawn[0].class);
    put(drawn[0].mean);
    const paint = await between(page, drawn);
    if (model.about.trains) {
        // Where the model has become another one, all sections ask it anew.
        const refresh = async () => {
            await draw();
            page.state.set(page.state.z, page.state.class);
            await Promise.all([again(), paint()]);
        };
        page.training = await train({ model, get, refresh });
    }
    document.getElementById("card").replaceChildren(...card(await (await file("README.md")).text()));
    // For whoever looks from outside, such as the test.
    globalThis.elbo = page;
    document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
    const place = document.getElementById("engine");
    place.classList.add("wrong");
    place.textContent = `The model cannot be shown: ${error.message}`;
});
