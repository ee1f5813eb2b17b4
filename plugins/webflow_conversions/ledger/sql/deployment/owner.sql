SELECT id, since FROM webflow.deployment
