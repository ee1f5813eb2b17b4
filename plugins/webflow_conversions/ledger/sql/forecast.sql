UPDATE webflow.runs SET forecast = %(forecast)s WHERE id = %(run)s
