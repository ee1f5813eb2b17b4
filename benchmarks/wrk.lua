-- The bodies that the push sends, each with an actionId of its own.
local thread_count = 0
function setup(thread)
    thread:set("number", thread_count)
    thread_count = thread_count + 1
end

local sent = 0
function init(args)
    wrk.method = "POST"
    wrk.headers["Authorization"] = args[1]
    wrk.headers["Content-Type"] = "application/json"
    customer_id, first, salt = args[2], tonumber(args[3]), args[4]
end

function request()
    sent = sent + 1
    return wrk.format(nil, nil, nil, string.format(
        '{"customerId":"%s","eventName":"offline-purchase","userDomain":"crm","userId":"user-%d",'
            .. '"actionId":"sales/offline-purchase/%s-%d-%d","actionTimestamp":%.0f,"value":149.99}',
        customer_id, sent, salt, number, sent, first + sent % 3600000))
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format("RESULT %d %d %d", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
