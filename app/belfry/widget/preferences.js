/** Which kinds somebody wants. @import * as T from './elements.js' */
import { cut, make } from './dom.js';

/** Where nothing can be chosen. */
const ALL = { kind: '*', label: '', required: true, enabled: true };

/** @type {T.ShowPreferences} */
export const showPreferences = async (panel, client, words, failed) => {
  /** @type {(all: T.Preference[]) => void} */
  const draw = (all) => panel.replaceChildren(...(all.length ? all : [ALL]).map(({ kind, label, required, enabled }) => {
    const choose = () => client.setPreference(kind, box.checked).then(draw, (fault) => {
      box.checked = enabled;
      failed(fault);
    });
    const box = make('input', { type: 'checkbox', role: 'switch', checked: enabled, disabled: required, onchange: choose });
    const name = make('span', { dir: 'auto' }, kind === '*' ? words.all : cut(label || kind));
    return make('label', { part: 'preference' }, name, ...(required ? [make('small', {}, words.required)] : []), box);
  }));
  draw(await client.preferences());
};
