// Vite's dev server, with hot reload, for a copy of `app` in the folder APP_DIR.

import { createServer as listener } from 'node:net'
import { createServer } from 'vite'

if (!process.env.APP_DIR) throw new Error('APP_DIR must name the folder of the app')

const server = await createServer({
  root: process.env.APP_DIR,
  configFile: false,
  logLevel: 'error',
  server: {
    host: '127.0.0.1',
    port: Number(process.env.PORT) || (await freePort()),
    strictPort: true,
    // Vite takes requests for NAME.localhost unasked, and refuses any other host name.
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
