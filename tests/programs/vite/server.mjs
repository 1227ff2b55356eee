// Vite's dev server for the app in APP_DIR, with hot reload.

import { createServer as listener } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'

const server = await createServer({
  root: process.env.APP_DIR ?? fileURLToPath(new URL('app', import.meta.url)),
  configFile: false,
  logLevel: 'error',
  server: {
    host: '127.0.0.1',
    port: Number(process.env.PORT) || (await freePort()),
    strictPort: true,
    allowedHosts: ['.localhost'],
    // `hmr` stays as it is: the page then opens its WebSocket where it came from itself.
  },
})
await server.listen()
console.log('listening', server.httpServer.address().port)

// Vite takes port 0 for its own default.
function freePort() {
  return new Promise((found) => {
    const probe = listener().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => found(port))
    })
  })
}
