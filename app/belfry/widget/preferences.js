/** Which kinds somebody wants. @import * as T from './elements.js' */
import { cut, make } from './dom.js';

/** Where nothing can be chosen. */
const ALL = { kind: '*', label: '', required: true, enabled: true };

/** @type {T.ShowPreferences} */
export const showPreferences = (panel, client, words, failed) => {
  const list = make('div'); // out of the panel when somebody else's are shown: what comes late goes with it
  /** @type {(all: T.Preference[]) => void} */
  const draw = (all) => list.replaceChildren(...(all.length ? all : [ALL]).map(({ kind, label, required, enabled }) => {
    const choose = () => client.setPreference(kind, box.checked).then(draw, () => {
      box.checked = enabled;
      failed();
    });
    const box = make('input', { type: 'checkbox', role: 'switch', checked: enabled, disabled: required, onchange: choose });
    const name = make('span', { dir: 'auto' }, kind === '*' ? words.all : cut(label || kind));
    return make('label', { part: 'preference' }, name, ...(required ? [make('small', {}, words.required)] : []), box);
  }));
  const load = () => client.preferences().then(draw, failed);
  panel.replaceChildren(list);
  load();
  return load;
};
