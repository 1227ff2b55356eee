// Shopify's own package, for an app with this secret.

import '@shopify/shopify-api/adapters/node'
import { ApiVersion, LogSeverity, shopifyApi } from '@shopify/shopify-api'

export const shopify = (apiSecretKey) =>
  shopifyApi({
    apiKey: 'key',
    apiSecretKey,
    apiVersion: ApiVersion.January25,
    hostName: 'app.test',
    isEmbeddedApp: false,
    logger: { level: LogSeverity.Error },
  })
