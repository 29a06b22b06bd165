/** A backend whose sentences, recipes and class names are Chinese, where they are known in it. */

// Fashion-MNIST's; digits need no words, and other data sets have their own.
const CLOTHES = new Map([
  ["t-shirt", "T恤"],
  ["trouser", "裤子"],
  ["pullover", "套衫"],
  ["dress", "连衣裙"],
  ["coat", "外套"],
  ["sandal", "凉鞋"],
  ["shirt", "衬衫"],
  ["sneaker", "运动鞋"],
  ["bag", "包"],
  ["ankle boot", "短靴"],
]);
// How a network of these classes has its pictures prepared, which their English names tell.
const THEIR_PREPARATION = { fit: "object", ground: "dark" };
const ASKED = [
  "state",
  "access",
  "run",
  "model",
  "explanation",
  "statistics",
  "predictions",
  "dataset",
  "engine",
  "training",
  "post",
  "remove",
];

/** The backend with what it gives in Chinese; what the server knows in English alone stays so. */
export function inChinese(backend) {
  const known = new WeakMap(); // what it gave → the same in Chinese, one object for one
  const once = (make) => (given) => {
    if (!known.has(given)) known.set(given, make(given));
    return known.get(given);
  };
  const turn = {
    state: once(stateInChinese),
    run: summaryOf,
    model: once(modelOf),
    dataset: once((set) => ({ ...set, classes: classNames(set.classes) })),
    post: (answer) => ({ ...answer, remark: answer.remark_chinese ?? answer.remark }),
  };
  const spoken = { ...backend };
  for (const name of ASKED) {
    if (!backend[name]) continue;
    spoken[name] = async (...asked) => {
      try {
        const given = await backend[name](...asked);
        return turn[name] ? turn[name](given) : given;
      } catch (error) {
        if (error.offline) error.message = "实验室没有响应";
        else error.message = error.chinese ?? error.message;
        throw error;
      }
    };
  }
  spoken.events = (handlers) =>
    backend.events({
      ...handlers,
      state: handlers.state && ((state) => handlers.state(turn.state(state))),
      run: handlers.run && ((news) => handlers.run(newsOf(news))),
      warnings: handlers.warnings && ((warnings) => handlers.warnings(warningsOf(warnings))),
    });
  return spoken;
}

/** The server's state with its sentences and recipes in Chinese. */
export function stateInChinese(state) {
  return {
    ...warningsOf(state),
    runs: state.runs.map(summaryOf),
    recipes: state.recipes.map((recipe) => ({
      ...recipe,
      title: recipe.title_chinese ?? recipe.title,
      published: (recipe.published ?? []).map((row) => ({
        ...row,
        source: row.source_chinese ?? row.source,
      })),
    })),
  };
}

function warningsOf(warnings) {
  return {
    ...warnings,
    trouble: warnings.trouble_chinese ?? warnings.trouble,
    damaged: warnings.damaged?.map(damageOf),
  };
}

const damageOf = (one) => ({ ...one, reason: one.reason_chinese ?? one.reason });

/** A run's summary, or its whole record. */
function summaryOf(run) {
  const { remarks, chinese = {} } = run;
  return {
    ...run,
    message: run.message_chinese ?? run.message,
    ...(remarks ? { remarks: remarks.map((text) => chinese[text] ?? text) } : {}),
  };
}

function newsOf(news) {
  return { ...summaryOf(news), summary: summaryOf(news.summary) };
}

function modelOf(model) {
  const { network } = model;
  const classes = classNames(network.classes);
  if (classes === network.classes) return model;
  return {
    ...model,
    network: { ...network, classes },
    preparation: model.preparation ?? THEIR_PREPARATION,
  };
}

/** The names in Chinese, where they are those of Fashion-MNIST; else the names themselves. */
function classNames(classes) {
  const same = classes.length === CLOTHES.size && classes.every((name) => CLOTHES.has(name));
  return same ? classes.map((name) => CLOTHES.get(name)) : classes;
}
