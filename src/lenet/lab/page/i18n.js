/** The page's words in English and Chinese. */

/** The languages by their tags, each in its own words. */
export const LANGUAGES = { en: "English", zh: "中文" };

/**
 * A function `t(key, values)` for a language, from dictionaries `{en: {key: text}, zh: {…}}`.
 *
 * `{name}` in a text is replaced by `values.name`. A key that is missing is an error: a test looks
 * for those before anybody reads the page.
 */
export function translator(language, dictionaries) {
  const words = Object.assign({}, ...dictionaries.map((dictionary) => dictionary[language]));
  return (key, values = {}) => {
    const text = words[key];
    if (text === undefined) throw new Error(`no word for ${key} in ${language}`);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  };
}

/** The language to begin with: the one chosen before, else the browser's, else the server's. */
export function firstLanguage(chosen, server) {
  if (chosen in LANGUAGES) return chosen;
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2));
  return wanted.find((tag) => tag in LANGUAGES) ?? server ?? "en";
}
