DELETE FROM webflow.history WHERE conversion = ANY (%(ids)s)
