-- How many chunks wait, how many are out, how many jobs and tenants have chunks that wait.
local pending, jobs = 0, 0
local tenants = redis.call('ZRANGE', 'seqway:tenants', 0, -1)
for _, tenant in ipairs(tenants) do
  for _, job in ipairs(redis.call('ZRANGE', 'seqway:ready:' .. tenant, 0, -1)) do
    pending = pending + redis.call('ZCARD', 'seqway:pending:' .. job)
    jobs = jobs + 1
  end
end
return {pending, redis.call('ZCARD', 'seqway:out'), jobs, #tenants}
