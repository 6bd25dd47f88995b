module github.com/cofferdam/cofferdam/clients/go

go 1.19
