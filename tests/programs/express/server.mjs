// The listener of a developer who tries out webhooks: it prints what it is sent.

import express from 'express'

const app = express()
app.set('trust proxy', true)

app.post('/webhook', express.json(), (req, res) => {
  console.log('webhook', JSON.stringify(req.body))
  res.json({ received: true })
})

// How the request looks to an app that trusts the proxy before it.
app.get('/who', (req, res) => {
  const { protocol, host, ip, ips } = req
  res.json({ protocol, host, ip, ips, url: `${protocol}://${host}${req.originalUrl}` })
})

const server = app.listen(Number(process.env.PORT || 0), '127.0.0.1', (error) => {
  if (error) throw error
  console.log('listening', server.address().port)
})
