/** The shop's server: draws the page, and makes tokens. In your own app the session says who somebody is. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { renderToString } from 'react-dom/server';
import { App } from './app.jsx';

const { BELFRY_URL = 'http://127.0.0.1:8080', BELFRY_SECRET, RECIPIENT = 'demo', PORT = '3000' } = process.env;
if (!BELFRY_SECRET) throw new Error('BELFRY_SECRET is missing: the relay’s');
const SECONDS = 600;
const POLICY = `default-src 'self'; connect-src 'self' ${BELFRY_URL}; img-src 'self' https: data:`;
const STYLE = 'body { font: 16px system-ui; max-width: 40rem; margin: 0 auto } header { display: flex; align-items: center; gap: 1rem }';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

const token = () => {
  const claims = { sub: RECIPIENT, exp: Math.floor(Date.now() / 1000) + SECONDS };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', BELFRY_SECRET).update(text).digest('base64url')}`;
};

const page = () => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<div id="root" data-relay="${BELFRY_URL}">${renderToString(<App relay={BELFRY_URL} />)}</div>
<script type="module" src="/browser.js"></script></html>`;

const ANSWERS = {
  'GET /': ['text/html', page],
  'GET /style.css': ['text/css', () => STYLE],
  'GET /browser.js': ['text/javascript', () => readFileSync(new URL('browser.js', import.meta.url))],
  'POST /token': ['text/plain', token],
};

createServer((request, response) => {
  const [type, answer] = ANSWERS[`${request.method} ${request.url}`] ?? ['text/plain', null];
  response.writeHead(answer ? 200 : 404, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY });
  response.end(answer?.() ?? 'Not found');
}).listen(Number(PORT), 'localhost', () => console.log(`http://localhost:${PORT}/`));
